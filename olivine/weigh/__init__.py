"""Stage `weigh`: one sampling weight for every pair, from point density over range and category frequency."""
