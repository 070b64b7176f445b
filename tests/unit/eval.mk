# unit tests of eval
