/* srqctl: finds the verb, parses its options, runs it. */
#include "tui/srqctl/run.h"

int main(int argc, char **argv)
{
    return ctl_main(argc, argv);
}
