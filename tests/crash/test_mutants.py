"""Every seeded bug still fits the code, and one of them, another each run, is tried; ``make crash`` tries all."""

from __future__ import annotations

import os
import random

import pytest

from tests.crash import mutants


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    mutants.copy_tree(root)
    return root


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_the_bug_fits_the_code(mutant, tree):
    path = tree / mutant.file
    before = path.read_text(encoding="utf-8")
    mutants.apply(mutant, tree)
    try:
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
    finally:
        path.write_text(before, encoding="utf-8")


ALL = list(mutants.MUTANTS) if os.environ.get("PLEXSYNC_FULL") else [None]


@pytest.mark.skipif(os.name == "nt", reason="the checks fork")
@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name if mutant else "one of them")
def test_a_bug_is_caught(mutant, request):
    if mutant is None:
        seed = random.randrange(2**32)
        print("seed", seed)
        mutant = random.Random(seed).choice([one for one in mutants.MUTANTS if not one.full])
    report = mutants.attempt(mutant)
    print(report)
    request.node.user_properties.append(("seeded bugs", 1))
    request.node.user_properties.append(("seeded bugs caught", int(report.caught)))
    request.node.user_properties.append(("report", str(report)))
    assert report.caught, report.said
