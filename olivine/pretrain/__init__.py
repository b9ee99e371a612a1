"""Stage `pretrain`: distil frozen image features and weak labels into a 3D backbone."""
