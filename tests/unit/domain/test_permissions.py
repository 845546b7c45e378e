"""Who may read what is made in a folder, and what is said of a refusal."""

import stat

import pytest

from ntlbg_service.domain.permissions import Account, Entry, denial, umask_below


@pytest.mark.parametrize(
    ("folder", "umask"),
    [
        (0o2770, 0o007),
        (0o2775, 0o007),
        (0o2777, 0o007),
        (0o2750, 0o027),
        (0o2700, 0o077),
        (0o0700, 0o077),
        (0o0755, 0o077),
        (0o0777, 0o077),
        (0o1777, 0o077),
    ],
)
def test_a_setgid_folder_is_its_groups_and_nothing_is_the_worlds(folder: int, umask: int) -> None:
    assert umask_below(stat.S_IFDIR | folder) == umask


def test_the_world_gets_nothing_and_a_group_no_more_than_its_folder_grants() -> None:
    for mode in range(0o10000):
        umask = umask_below(stat.S_IFDIR | mode)
        assert umask & 0o007 == 0o007 and not umask & 0o700
        assert not (0o777 & ~umask) & 0o070 & ~mode


def entry(mode: int, path: str = "/lab/exit.json") -> Entry:
    return Entry(path=path, owner="ada", group="lab", mode=mode)


@pytest.mark.parametrize(
    ("account", "mode", "write", "words"),
    [
        (Account(owns=False, in_group=True), 0o100600, False, "ada mends it with 'chmod -R g+r "),
        (Account(owns=False, in_group=True), 0o100640, True, "ada mends it with 'chmod -R g+rw "),
        (Account(owns=False, in_group=True), 0o40700, True, "ada mends it with 'chmod -R g+rwX "),
        (Account(owns=False, in_group=False), 0o100660, True, "'newgrp lab' mends it for members"),
        (Account(owns=False, in_group=False), 0o100640, True, "grants you nothing; ask ada"),
        (Account(owns=True, in_group=True), 0o100400, True, "'chmod u+rw /lab/exit.json' mends it"),
        (Account(owns=True, in_group=False), 0o40500, True, "'chmod u+rwx /lab/exit.json'"),
    ],
)
def test_a_refusal_names_the_owner_and_what_mends_it(
    account: Account, mode: int, write: bool, words: str
) -> None:
    said = denial(entry(mode), account, write=write)
    assert said.startswith(f"/lab/exit.json belongs to ada, group lab, mode {mode & 0o7777:04o}")
    assert words in said
