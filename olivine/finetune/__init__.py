"""Stage `finetune`: train a segmenter on a fraction of the hand labels, from a backbone or from random."""
