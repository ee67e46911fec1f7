"""The plugin in kernels of this process, as it lies here: nothing has to be built or installed."""

import queue

import pytest
from acme_mtev_uptime import Uptime
from acme_mtev_uptime.settings import Settings

from mtev_kernel import DONE, HookResult, Plugin, hookimpl, hookspec
from mtev_kernel.testing import NotReady, PluginConformance, inline

CONFIG = '<shop><uptime label="till 4"><milestone seconds="0.01"/><milestone seconds="86400"/></uptime></shop>'


@pytest.fixture(autouse=True)
def _installed(installed_project):
    installed_project()


class TestConformance(PluginConformance):
    """The rules that every plugin keeps."""

    plugin = "acme.uptime"
    config = CONFIG


class Herald(Plugin):
    """Somebody else's plugin, which announces milestones."""

    manifest = 'id = "herald"\nsummary = "Announces."\napi = "1.0"\nimplements = ["acme_uptime_reached"]'

    def __init__(self, context, heard):
        super().__init__(context)
        self.heard = heard

    @hookimpl
    def acme_uptime_reached(self, label, seconds):
        self.heard.put((label, seconds))
        return DONE


class Registries:
    """The hooks of mtev-http and mtev-telnet, as far as this plugin uses them."""

    @hookspec
    def mtev_rest_routes(rest: object) -> HookResult | None: ...

    @hookspec
    def mtev_console_commands(console: object) -> HookResult | None: ...


class Front(Plugin):
    """Stands for mtev-http and mtev-telnet."""

    manifest = 'id = "front"\nsummary = "Shows."\napi = "1.0"\nhooks = ["mtev_rest_routes", "mtev_console_commands"]'

    def __init__(self, context, offered):
        super().__init__(context)
        context.hooks.declare(Registries)
        self.offered = offered

    def start(self):
        self.context.hooks.site(Registries.mtev_rest_routes).call(self)
        self.context.hooks.site(Registries.mtev_console_commands).call(self)

    def view(self, base, expression, function, *, summary):
        self.offered[base, expression] = function

    def command(self, words, function, *, summary):
        self.offered[words] = function


def enabled(*names):
    """The configuration, with further plugins named in it."""
    modules = "".join(f'<generic image="{name}" name="{name}"/>' for name in names)
    return CONFIG.replace("</shop>", f"<modules>{modules}</modules></shop>")


def test_others_are_told_of_a_milestone(mtev_kernel):
    heard = queue.SimpleQueue()
    herald = inline(lambda context: Herald(context, heard), Herald.manifest)
    mtev_kernel(enabled("herald"), plugins=[herald])
    assert heard.get(timeout=10) == ("till 4", 0.01)


def test_a_milestone_that_nobody_announces_is_logged(mtev_kernel, caplog):
    caplog.set_level("INFO", "mtev.acme.uptime")
    lines = queue.SimpleQueue()
    caplog.handler.addFilter(lambda record: lines.put(record.getMessage()) or True)
    mtev_kernel(CONFIG)
    while "till 4 has been up for 0.01 s" not in (line := lines.get(timeout=10)):
        assert "acme.uptime" not in line


def test_rest_and_console_show_the_uptime(mtev_kernel):
    offered = {}
    mtev_kernel(enabled("front"), plugins=[inline(lambda context: Front(context, offered), Front.manifest)])
    shown = offered["/acme/", r"^uptime\.json$"]({})
    assert shown["label"] == "till 4"
    assert sorted(shown["reached"] + shown["ahead"]) == [0.01, 86400]
    assert next(iter(offered["show uptime"]([]))) == "label: till 4"
    with pytest.raises(ValueError, match="no arguments"):
        list(offered["show uptime"](["now"]))


@pytest.mark.parametrize(
    ("stanza", "message"),
    [
        ('<uptime><milestone seconds="soon"/></uptime>', "conf:1: <milestone>: seconds: 'soon' is not a number"),
        ('<uptime><milestone seconds="0"/></uptime>', "0 is not a time to wait for"),
        ("<uptime><milestone/></uptime>", "'seconds' is required"),
        ('<uptime lable="x"/>', "unknown attribute 'lable'"),
        ("<uptime><mile/></uptime>", "not known in <uptime>"),
        ("<uptime/><uptime/>", "there is one at"),
    ],
)
def test_what_cannot_be_meant_is_refused(mtev_kernel, stanza, message):
    with pytest.raises(NotReady) as error:
        mtev_kernel(f"<shop>{stanza}</shop>")
    assert message in str(error.value)


def test_milestones_are_reached_one_by_one():
    uptime = Uptime(Settings("shop", (10, 20)), began=100)
    assert uptime.wait_s(now=105) == 5
    assert uptime.reach(now=105) is None
    assert [uptime.reach(now=125) for _ in range(3)] == [10, 20, None]
    assert uptime.wait_s(now=125) is None


def test_a_new_configuration_keeps_what_was_told():
    uptime = Uptime(Settings("shop", (10,)), began=100)
    assert uptime.reach(now=110) == 10
    uptime.settings = Settings("shop", (5, 10, 30))
    assert uptime.show(now=110) == {"label": "shop", "seconds": 10, "reached": [5, 10], "ahead": [30]}
