# plugin rtn
