"""Pure functions on point clouds: project into cameras, voxelise, augment. Arrays in, arrays out, numpy alone."""
