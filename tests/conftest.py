"""The certificates of the tests are not those of the person who runs them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tollens.run.cache import VARIABLE


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield
