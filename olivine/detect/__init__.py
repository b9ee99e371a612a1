"""Detection: train SECOND on KITTI's object benchmark from a pretrained VoxelNet or from random, predict, score."""
