"""Networks: the sparse UNet, the sparse-convolution backends it runs on, and what stands on top of them."""
