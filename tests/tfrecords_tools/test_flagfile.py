import os

import pytest

from tfrecords_tools.command import Command, Help, run
from tfrecords_tools.errors import UserError
from tfrecords_tools.flagfile import expand_flagfiles


@pytest.fixture
def write(tmp_path):
    def write(name, *lines):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write


def test_a_flagfile_stands_where_it_is_named(write):
    file = write("a.flags", "# a comment", "", "--size=2", "// another", "  --deep  ")
    expected = ["--size=1", "--size=2", "--deep", "--size=3"]
    for named in ([f"--flagfile={file}"], [f"-flagfile={file}"], ["--flagfile", str(file)]):
        assert expand_flagfiles(["--size=1", *named, "--size=3"]) == expected


def test_a_file_that_is_included_lies_beside_the_one_that_names_it(write, tmp_path, monkeypatch):
    write("configs/base.flags", "--size=1", "--deep")
    write("configs/middle.flags", "--flagfile=base.flags", "--size=2")
    write("top.flags", "--flagfile=configs/middle.flags", "--size=3")
    expected = ["--size=1", "--deep", "--size=2", "--size=3"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert expand_flagfiles(["--flagfile=../top.flags"]) == expected
    assert expand_flagfiles([f"--flagfile={tmp_path / 'top.flags'}"]) == expected


def test_a_file_may_be_named_twice_by_others(write):
    base = write("base.flags", "--size=1")
    write("a.flags", "--flagfile=base.flags")
    b = write("b.flags", "--flagfile=a.flags", f"--flagfile={base}")
    assert expand_flagfiles([f"--flagfile={b}"]) == ["--size=1", "--size=1"]


def test_arguments_after_two_dashes_are_left_alone(write):
    arguments = ["a", "--", "--flagfile=missing.flags"]
    assert expand_flagfiles(arguments) == arguments


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ("missing.flags", r"--flagfile=\S+/missing\.flags: No such file or directory"),
        (
            "names_missing.flags",
            r"names_missing\.flags: --flagfile=missing\.flags, looked up beside it: No such file",
        ),
        (
            "one.flags",
            r"must not include itself. Received: \S+one\.flags -> \S+two\.flags -> \S+one\.flags",
        ),
        ("itself.flags", r"Received: \S+/itself\.flags -> \S+/itself\.flags"),
        ("folder", "folder: must be a file. Received: a directory"),
        ("bytes.flags", r"bytes\.flags: not a text file"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_code_2(write, tmp_path, capsys, top, message):
    write("names_missing.flags", "--flagfile=missing.flags")
    write("one.flags", "--flagfile=two.flags")
    write("two.flags", "--flagfile=./one.flags")
    write("itself.flags", "--flagfile=itself.flags")
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes.flags").write_bytes(b"\xff\xfe--size")
    with pytest.raises(UserError, match=message):
        expand_flagfiles([f"--flagfile={tmp_path / top}"])
    command = Command("name", Help("does.", "name"), lambda _: None, lambda _: 0)
    assert run(command, [f"--flagfile={tmp_path / top}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("name: error: ") and error.count("\n") == 1


def test_a_flagfile_needs_a_name():
    with pytest.raises(UserError, match="--flagfile needs a file: --flagfile=FILE"):
        expand_flagfiles(["--flagfile"])


def test_files_that_include_the_next_ones_again_and_again_end(write, tmp_path):
    for number in range(40):
        write(f"{number}.flags", *[f"--flagfile={number + 1}.flags"] * 2)
    write("40.flags", "--size=1")
    with pytest.raises(UserError, match="include more than 200 others"):
        expand_flagfiles([f"--flagfile={tmp_path}/0.flags"])


def test_a_pipe_as_a_flagfile_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.flags")
    with pytest.raises(UserError, match=r"pipe\.flags: must be a file. Received: a pipe"):
        expand_flagfiles([f"--flagfile={tmp_path}/pipe.flags"])
