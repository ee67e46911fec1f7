"""The demo's plugin, in a kernel in this process, through real sockets."""

import urllib.request

from mtev_listener import Listeners

CONFIG = """
<app>
  <modules>
    <generic image="demo" name="demo"/>
    <generic image="demo" name="german:demo"><config><greeting>Guten Tag</greeting><path>hallo</path></config></generic>
  </modules>
  <listeners type="http_rest_api"><listener address="127.0.0.1" port="0"/></listeners>
  <rest><acl><rule type="allow"/></acl></rest>
</app>
"""


def get(service, path):
    bound = service.service(Listeners).bound[0]
    with urllib.request.urlopen(f"http://{bound.address}:{bound.port}{path}", timeout=10) as answer:
        return answer.read().decode()


def test_it_greets_by_name_and_each_instance_in_its_own_words(mtev_kernel):
    service = mtev_kernel(config=CONFIG)
    assert get(service, "/hello") == "Hello, world.\n"
    assert get(service, "/hello/Ada") == "Hello, Ada.\n"
    assert get(service, "/hallo/Ada") == "Guten Tag, Ada.\n"
