from pgan_tf.reporting.tag_descriptions import describe_tag


def test_scalars_are_described_whatever_their_device_or_layer():
    assert "GiB" in describe_tag("memory/gpu12_peak_gib")
    assert describe_tag("memory/gpu12_peak_gib") != describe_tag("memory/gpu12_gib")
    assert "equalized" in describe_tag("weights_generator/8x8_conv0/kernel")
    assert "gradient" in describe_tag("weights_generator/8x8_conv0/kernel_gradient")
    assert describe_tag("loss/unheard_of") == ""
