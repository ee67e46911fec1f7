"""Which plugins a document enables, and what is said of the rest."""

import pytest

from mtev_kernel import ConfigurationError, LoadError, Manifest, ModuleRequest, Stanza
from mtev_kernel.discovery import Found
from mtev_kernel.enabling import LEFT_OUT, select


def offer(name, error="", **fields):
    manifest = Manifest(id=name, summary="", api=(1, 0), symbol=fields.pop("symbol", name.rpartition(".")[2]), **fields)
    return Found(name, manifest, f"dist-{name}", "1.0", "third-party", "", error)


class Document:
    path = "app.conf"

    def __init__(self, *stanzas, modules=(), claims=()):
        self._stanzas = [Stanza(name, f"app.conf:{line}") for line, name in enumerate(stanzas, 2)]
        self._modules = list(modules)
        self._claims = dict(claims)

    def stanzas(self):
        return self._stanzas

    def find(self, claim):
        for stanza in self._stanzas:
            if stanza.name == claim:
                return stanza.where
        return self._claims.get(claim)

    def modules(self):
        return self._modules

    def dump(self):
        return ""


def generic(image, name, **fields):
    return ModuleRequest(fields.pop("kind", "generic"), image, name, "app.conf:9", **fields)


def chosen(found, document, always=()):
    return {each.name: each for each in select(found, document, always).enabled}


def test_installed_is_not_enabled():
    assert chosen([offer("a")], Document("x")) == {}


def test_the_owner_of_a_stanza_is_enabled_and_knows_where():
    enabled = chosen([offer("a", stanzas=("x",))], Document("w", "x"))
    assert enabled["a"].where == "app.conf:3"
    assert enabled["a"].on_error == "fail"


def test_a_claim_deeper_in_the_document_enables_too():
    found = [offer("console", stanzas=("listeners//*[@type='console']",))]
    document = Document("listeners", claims={"listeners//*[@type='console']": "app.conf:7"})
    assert chosen(found, document)["console"].where == "app.conf:7"
    assert select(found, document).warnings == (
        "app.conf:2: no installed plugin owns <listeners>: pip install mtev-listener",
    )


def test_what_is_required_is_enabled_transitively():
    found = [offer("a", stanzas=("x",), requires=("b",)), offer("b", requires=("c",)), offer("c"), offer("d")]
    enabled = chosen(found, Document("x"))
    assert set(enabled) == {"a", "b", "c"}
    assert enabled["c"].where == "required by plugin 'b'"


def test_among_several_providers_the_one_of_that_id_or_else_the_first_by_name_is_taken():
    found = [
        offer("a", stanzas=("x",), requires=("store",)),
        offer("z", provides=("store",)),
        offer("m", provides=("store",)),
    ]
    assert set(chosen(found, Document("x"))) == {"a", "m"}
    assert set(chosen([*found, offer("store")], Document("x"))) == {"a", "store"}


def test_a_provider_that_is_enabled_anyway_spares_another():
    found = [
        offer("a", stanzas=("x",), requires=("store",)),
        offer("z", provides=("store",), stanzas=("y",)),
        offer("m", provides=("store",)),
    ]
    assert set(chosen(found, Document("x", "y"))) == {"a", "z"}


def test_modules_are_found_by_id_or_image_and_symbol():
    found = [
        offer("lua.general", images=("lua_mtev",), symbol="lua_general"),
        offer("lua.web", images=("lua_mtev",), symbol="lua_web"),
    ]
    document = Document("modules", modules=[generic("lua_mtev", "lua_web"), generic("lua.general", "lua_general")])
    assert set(chosen(found, document)) == {"lua.general", "lua.web"}


def test_one_image_can_be_instantiated_more_than_once():
    document = Document(modules=[generic("demo", "demo"), generic("demo", "second:demo", config={"k": "v"})])
    enabled = chosen([offer("demo")], document)
    assert set(enabled) == {"demo", "second:demo"}
    assert enabled["second:demo"].request.config == {"k": "v"}


def test_a_name_used_twice_is_an_error_that_shows_the_way():
    document = Document(modules=[generic("demo", "demo"), generic("demo", "demo")])
    [problem] = [each.problem for each in select([offer("demo")], document).enabled if each.problem]
    assert isinstance(problem, ConfigurationError)
    assert 'write name="another:demo" for a second instance' in str(problem)


@pytest.mark.parametrize(
    ("image", "name", "kind", "complaint"),
    [
        ("greeter", "greet", ConfigurationError, "the image 'greeter' (dist-greeter 1.0) has no 'greet', but greeter"),
        ("greter", "greter", LoadError, "offers the image 'greter'; did you mean 'greeter'?"),
        ("http", "http", LoadError, "offers the image 'http'; pip install mtev-http"),
        ("/opt/x.so", "x", ConfigurationError, "a C module cannot be loaded here"),
        ("broken", "broken", LoadError, "it cannot be used: bad manifest"),
    ],
)
def test_an_image_that_cannot_be_had_is_explained(image, name, kind, complaint):
    found = [offer("greeter"), offer("broken", error="bad manifest")]
    [enabled] = select(found, Document(modules=[generic(image, name)])).enabled
    assert isinstance(enabled.problem, kind)
    assert complaint in str(enabled.problem)
    assert str(enabled.problem).startswith("app.conf:9: ")


def test_what_somebody_offers_is_not_taken_for_a_misspelling():
    [enabled] = select([offer("http")], Document(modules=[generic("http.auth", "http.auth")])).enabled
    assert "offers the image 'http.auth'; pip install mtev-http-auth" in str(enabled.problem)


def test_a_manifest_that_could_not_be_read_explains_itself_too():
    found = [Found("mute", None, "dist-mute", "1.0", "third-party", "", "not valid TOML")]
    [enabled] = select(found, Document(modules=[generic("mute", "mute")])).enabled
    assert "it cannot be used: not valid TOML" in str(enabled.problem)
    assert enabled.distribution == "dist-mute 1.0"


def test_a_generic_of_a_loader_requires_the_loader():
    document = Document(modules=[generic("script.lua", "script", loader="lua"), generic("lua", "lua", kind="loader")])
    enabled = chosen([offer("lua")], document)
    assert enabled["script"].manifest.requires == ("lua",)
    assert enabled["script"].distribution == "loaded by 'lua'"


def test_policies_come_from_modules_and_pass_on_to_what_is_only_required():
    found = [offer("a", requires=("c",)), offer("b", requires=("c",)), offer("c")]
    ignoring = Document(modules=[generic("a", "a", on_error="ignore")])
    assert chosen(found, ignoring)["c"].on_error == "ignore"
    both = Document(modules=[generic("a", "a", on_error="ignore"), generic("b", "b")])
    assert chosen(found, both)["c"].on_error == "fail"


def test_a_module_entry_sets_the_policy_of_a_stanza_owner():
    document = Document("x", modules=[generic("a", "a", on_error="retry")])
    assert chosen([offer("a", stanzas=("x",))], document)["a"].on_error == "retry"


def test_a_refused_owner_of_a_stanza_is_a_fault_and_not_a_silence():
    enabled = chosen([offer("a", error="wrong API", stanzas=("x",))], Document("x"))
    assert str(enabled["a"].problem) == "app.conf:2: it cannot be used: wrong API"
    assert enabled["a"].distribution == "dist-a 1.0"


def test_a_fault_that_is_asked_for_by_name_may_be_ignored():
    document = Document("x", modules=[generic("a", "a", on_error="ignore")])
    enabled = chosen([offer("a", error="wrong API", stanzas=("x",))], document)
    assert (enabled["a"].on_error, enabled["a"].distribution) == ("ignore", "dist-a 1.0")
    assert "it cannot be used: wrong API" in str(enabled["a"].problem)


def test_what_safe_mode_leaves_out_is_no_fault_but_is_said():
    found = [offer("a", error=LEFT_OUT, stanzas=("x",)), offer("b", error=LEFT_OUT)]
    selection = select(found, Document("x", modules=[generic("b", "b")]))
    assert selection.enabled == ()
    assert [each.partition(" is left out")[0] for each in selection.warnings] == [
        'app.conf:9: <generic image="b" name="b"> (dist-b 1.0)',
        "app.conf:2: plugin 'a' (dist-a 1.0)",
    ]


def test_an_offer_under_a_wrong_name_says_what_is_wrong_with_it_whatever_symbol_is_asked_for():
    manifest = Manifest(id="right", summary="", api=(1, 0), symbol="right")
    found = [Found("wrong", manifest, "dist", "1.0", "third-party", "", "its manifest says id = 'right'")]
    [enabled] = select(found, Document(modules=[generic("wrong", "wrong")])).enabled
    assert "it cannot be used: its manifest says id = 'right'" in str(enabled.problem)


def test_stanzas_nobody_owns_are_reported_with_what_is_known():
    assert select([], Document("modules", "rest", "mine")).warnings == (
        "app.conf:3: no installed plugin owns <rest>: pip install mtev-http",
        "app.conf:4: no installed plugin owns <mine>; it has no effect here",
    )


def test_the_configuration_reader_is_always_enabled():
    assert set(chosen([offer("conf")], Document(), always=["conf"])) == {"conf"}
