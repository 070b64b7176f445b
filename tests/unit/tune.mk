# unit tests of tune
