import shlex
import signal

from pgan_tf.cli import train as command
from pgan_tf.training import loop


def test_the_command_to_continue_can_be_pasted_into_a_shell(
    pyramid_dir, tmp_path, monkeypatch, capsys
):
    stopped = loop.TrainResult(images_seen=8, interrupted_by=signal.SIGINT)
    monkeypatch.setattr(loop, "train", lambda config: stopped)
    run_dir = f"{tmp_path}/a run of $HOME's"
    assert command.main([f"--data_dir={pyramid_dir}", f"--run_dir={run_dir}"]) == 130
    printed = capsys.readouterr().out.rpartition("To continue: ")[2]
    assert shlex.split(printed) == ["pgan-train", f"--run_dir={run_dir}"]
