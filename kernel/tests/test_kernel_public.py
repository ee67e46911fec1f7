"""The public face of the package."""

import importlib
import pkgutil
import subprocess
import sys

import mtev_kernel


def test_every_public_name_resolves_and_is_declared_where_it_lives():
    for name in mtev_kernel.__all__:
        assert getattr(mtev_kernel, name) is not None
    assert sorted(mtev_kernel.__all__) == sorted(set(mtev_kernel.__all__))


def test_every_module_says_what_it_exports_and_exports_it():
    for module in pkgutil.iter_modules(mtev_kernel.__path__, "mtev_kernel."):
        if module.name.endswith(("__main__", ".templates")):
            continue
        loaded = importlib.import_module(module.name)
        assert all(hasattr(loaded, name) for name in loaded.__all__), module.name


def test_an_absent_name_is_an_attribute_error():
    assert not hasattr(mtev_kernel, "nonsense")


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, mtev_kernel; sys.exit(bool({'pluggy', 'stevedore', 'anyio', 'asyncio'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
