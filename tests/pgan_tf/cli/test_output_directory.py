import errno
import os

import pytest

from pgan_tf.cli.output_directory import output_directory
from tfrecords_tools.errors import UserError


def test_a_full_disk_is_named_and_what_was_written_stays(tmp_path):
    output = tmp_path / "out"

    def fill():
        with output_directory(output, overwrite=False):
            (output / "a").write_text("")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match="out: can't be written: No space left on device"):
        fill()
    assert (output / "a").exists()


def test_other_faults_stay_what_they_are(tmp_path):
    with pytest.raises(BrokenPipeError), output_directory(tmp_path / "out", overwrite=False):
        raise BrokenPipeError(errno.EPIPE, "gone")
    assert not (tmp_path / "out").exists()


def test_a_file_and_a_directory_with_files_are_refused(tmp_path):
    (tmp_path / "mine").write_text("")
    for output, message in ((tmp_path / "mine", "a file"), (tmp_path, r"files already \(mine\)")):
        with pytest.raises(UserError, match=message), output_directory(output, overwrite=False):
            pass
    with output_directory(tmp_path, overwrite=True):
        (tmp_path / "more").write_text("")
