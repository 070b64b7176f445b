/* Numbers as people read them: shared with srqtop. */
#include "tui/client/human.h"
