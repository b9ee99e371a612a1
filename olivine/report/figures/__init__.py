"""The figures of the paper, each from artifacts: `olivine figure list` names them, `olivine figure NAME` draws one."""
