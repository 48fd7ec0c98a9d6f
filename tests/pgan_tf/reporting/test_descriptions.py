from pgan_tf.reporting.descriptions import describe


def test_figures_are_described_whatever_their_device_or_layer():
    assert "GiB" in describe("memory/gpu12_peak_gib")
    assert describe("memory/gpu12_peak_gib") != describe("memory/gpu12_gib")
    assert "equalized" in describe("weights_generator/8x8_conv0/kernel")
    assert "gradient" in describe("weights_generator/8x8_conv0/kernel_gradient")
    assert describe("loss/unheard_of") == ""
