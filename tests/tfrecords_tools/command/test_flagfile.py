import errno
import os

import pytest
from absl import flags

from tfrecords_tools.command import Command, Help, run
from tfrecords_tools.command.flagfile import expand_flagfiles
from tfrecords_tools.errors import UserError


@pytest.fixture
def write(tmp_path):
    def write(name, *lines):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write


def test_a_flagfile_stands_where_it_is_named(write):
    file = write("a.flags", "# one", "", "--size=2", "// another", "  # a third", "  --deep  ")
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
            r"names_missing\.flags:1: --flagfile=missing\.flags, looked up beside it: No such file",
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
    (tmp_path / "bytes.flags").write_bytes(b"\x80--size\xff")
    with pytest.raises(UserError, match=message):
        expand_flagfiles([f"--flagfile={tmp_path / top}"])
    command = Command("name", Help("does.", "name"), lambda _: None, lambda _: 0)
    assert run(command, [f"--flagfile={tmp_path / top}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("name: error: ") and error.count("\n") == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_files_of_editors_on_windows_are_read(tmp_path, encoding):
    mark = "\ufeff" if encoding.endswith("e") else ""
    file = tmp_path / "a.flags"
    file.write_text(f"{mark}--name=Å\r\n\r\n# a comment\r\n--deep\r\n", encoding, newline="")
    assert expand_flagfiles([f"--flagfile={file}"]) == ["--name=Å", "--deep"]


def test_utf_16_without_its_mark_is_said(tmp_path):
    (tmp_path / "a.flags").write_bytes("--size=1\n".encode("utf-16-le"))
    with pytest.raises(UserError, match="not a text file in UTF-8 or UTF-16"):
        expand_flagfiles([f"--flagfile={tmp_path / 'a.flags'}"])


def sized(name, arguments, tmp_path=None):
    """Runs a command with the flags --size and --path; returns its code and their values."""
    seen = {}

    def define(values):
        flags.DEFINE_integer("size", 1, "Size.", flag_values=values)
        flags.DEFINE_string("path", None, "Path.", flag_values=values)

    command = Command(name, Help("does.", "name"), define, lambda f: seen.update(
        size=f["size"].value, path=f["path"].value), flagfiles=tmp_path)  # fmt: skip
    return run(command, arguments), seen


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--size=x", "flag --size=x"),
        ("--sise=3", "Unknown command line flag 'sise'"),
        ("size=3", "arguments are given as --flag=value"),
        ("--flagfile=", "--flagfile needs a file"),
    ],
)
def test_an_error_gives_file_and_line(write, capsys, line, message):
    base = write("base.flags", "# comment", "--size=2", line)
    top = write("top.flags", "--size=1", f"--flagfile={base.name}")
    assert sized("name", [f"--flagfile={top}"])[0] == 2
    error = capsys.readouterr().err
    assert f"error: {base}:3: " in error and message in error


def test_an_error_about_a_value_gives_the_file_and_line_that_set_it(write, capsys):
    def refuse(_):
        raise UserError("--size must be odd. Received: 2")

    command = Command("name", Help("does.", "name"), lambda f: flags.DEFINE_integer(
        "size", 1, "Size.", flag_values=f), refuse)  # fmt: skip
    file = write("a.flags", "--size=1", "", "--size=2")
    assert run(command, [f"--flagfile={file}"]) == 2
    assert f"error: {file}:3: --size must be odd" in capsys.readouterr().err
    run(command, [f"--flagfile={file}", "--size=4"])  # the command line has the last word
    assert "error: --size must be odd" in capsys.readouterr().err


def test_an_error_on_the_command_line_names_no_file(write, capsys):
    file = write("a.flags", "--size=2")
    assert sized("name", [f"--flagfile={file}", "--sise=3"])[0] == 2
    assert str(file) not in capsys.readouterr().err


@pytest.mark.parametrize("value", ["demo", "demo.flags", "configs/demo", "configs/demo.flags"])
def test_a_shipped_flagfile_is_known_by_its_name_anywhere(write, tmp_path, monkeypatch, value):
    shipped = write("shipped/demo.flags", "--flagfile=base.flags", "--deep").parent
    write("shipped/base.flags", "--size=1")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert expand_flagfiles([f"--flagfile={value}"], shipped) == ["--size=1", "--deep"]
    (tmp_path / "here" / "demo").mkdir()  # a directory is none
    assert expand_flagfiles([f"--flagfile={value}"], shipped) == ["--size=1", "--deep"]


def test_a_file_of_the_users_own_comes_before_a_shipped_one(write, tmp_path, monkeypatch):
    shipped = write("shipped/demo.flags", "--size=1").parent
    write("here/demo.flags", "--size=2")
    monkeypatch.chdir(tmp_path / "here")
    assert expand_flagfiles(["--flagfile=demo.flags"], shipped) == ["--size=2"]


def test_names_lead_to_shipped_flagfiles_only(write, tmp_path):
    write("secret.flags", "--size=1")
    (tmp_path / "shipped").mkdir()
    with pytest.raises(UserError, match="No such file"):
        expand_flagfiles(["--flagfile=../secret"], tmp_path / "shipped")


def test_the_home_directory_is_meant_by_a_tilde_wherever_a_path_is_given(write, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    file = write("a.flags", "--path=~/x")
    for arguments in (["--path=~/x"], ["--path", "~/x"], [f"--flagfile={file}"]):
        assert sized("name", arguments)[1]["path"] == "/home/me/x"
    assert sized("name", ["--path=a/~/x"])[1]["path"] == "a/~/x"
    assert sized("name", ["--path=~"])[1]["path"] == os.path.expanduser("~")
    assert sized("name", ["--path=~x"])[1]["path"] == "~x"  # a name


def test_the_home_directory_of_nobody_is_an_error(capsys):
    assert sized("name", ["--path=~nobody-of-that-name/x"])[0] == 2
    assert "no home directory is known of ~nobody-of-that-name" in capsys.readouterr().err


@pytest.mark.parametrize("error", [UserError, OSError])
def test_an_error_about_a_path_names_the_line_that_gives_it(write, capsys, monkeypatch, error):
    monkeypatch.setenv("HOME", "/home/me")
    file = write("a.flags", "--size=2", "--path=~/photos")

    def define(values):
        flags.DEFINE_string("path", "", "a path.", flag_values=values)
        flags.DEFINE_integer("size", 1, "a number.", flag_values=values)

    def body(values):
        if error is UserError:
            raise UserError(f"{values['path'].value}/1.png: damaged")
        raise FileNotFoundError(errno.ENOENT, "No such file", values["path"].value)

    def refusal(*arguments):
        command = Command("name", Help("does.", "name"), define, body)
        assert run(command, [f"--flagfile={file}", *arguments]) == 2
        return capsys.readouterr().err

    assert refusal().startswith(f"name: error: {file}:2: /home/me/photos")
    # The command line's is another.
    assert refusal("--path=/elsewhere").startswith("name: error: /elsewhere")


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
