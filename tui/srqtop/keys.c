/* The table of keys. */
#include "tui/srqtop/keys.h"

#include <stddef.h>

#define MOVING (IN_ALL)
#define LISTS (IN(QUEUE) | IN(JOB) | IN(HEATMAP) | IN(LOG))
#define LAYERS (IN(JOB) | IN(HEATMAP))
#define JOBS (IN_ALL & ~IN(HELP))

const struct key_row key_rows[] = {
    { "Up, k", { TOP_KEY_UP, 'k' }, MOVING, ACT_UP, "move up", NULL, false },
    { "Down, j", { TOP_KEY_DOWN, 'j' }, MOVING, ACT_DOWN, "move down", NULL, false },
    { "PgUp, Ctrl-B", { TOP_KEY_PAGE_UP, 2 }, MOVING, ACT_PAGE_UP, "move a page up", NULL, false },
    { "PgDn, Ctrl-F", { TOP_KEY_PAGE_DOWN, 6 }, MOVING, ACT_PAGE_DOWN, "move a page down", NULL, false },
    { "Home, g", { TOP_KEY_HOME, 'g' }, MOVING, ACT_FIRST, "move to the beginning", NULL, false },
    { "End, G", { TOP_KEY_END, 'G' }, MOVING, ACT_LAST, "move to the end", NULL, false },
    { "Enter", { TOP_KEY_ENTER }, IN(QUEUE), ACT_ENTER, "open the job under the cursor", "open", false },
    { "Enter",
      { TOP_KEY_ENTER },
      IN(JOB),
      ACT_ENTER,
      "commit the edits; without any, fold or unfold the block",
      "fold/commit",
      false },
    { "Enter", { TOP_KEY_ENTER }, IN(HEATMAP), ACT_ENTER, "commit the edits", "commit", false },
    { "Left", { TOP_KEY_LEFT }, IN(JOB), ACT_LEFT, "fold the block", NULL, false },
    { "Right", { TOP_KEY_RIGHT }, IN(JOB), ACT_RIGHT, "unfold the block", NULL, false },
    { "Left", { TOP_KEY_LEFT }, IN(HEATMAP), ACT_LEFT, "move to the module on the left", NULL, false },
    { "Right", { TOP_KEY_RIGHT }, IN(HEATMAP), ACT_RIGHT, "move to the module on the right", NULL, false },
    { "Left", { TOP_KEY_LEFT }, IN(LOG), ACT_LEFT, "scroll to the beginning of the lines", NULL, false },
    { "Right", { TOP_KEY_RIGHT }, IN(LOG), ACT_RIGHT, "scroll to what long lines hide", NULL, false },
    { "Left",
      { TOP_KEY_LEFT },
      IN(DIFFUSION),
      ACT_LEFT,
      "show the picture before, where not all fit",
      "pictures",
      false },
    { "Right", { TOP_KEY_RIGHT }, IN(DIFFUSION), ACT_RIGHT, "show the next picture", NULL, false },
    { "z", { 'z' }, IN(JOB), ACT_FOLD_ALL, "fold all blocks, or unfold them when all are folded", "fold all", false },
    { "Space",
      { ' ' },
      LAYERS,
      ACT_TAG,
      "tag the layer, or all layers of the block, or take the tag off; go on to the next",
      "tag",
      false },
    { "T",
      { 'T' },
      LAYERS,
      ACT_TAG_MATCHING,
      "tag every layer that the filter shows and the search matches",
      NULL,
      false },
    { "U", { 'U' }, LAYERS, ACT_UNTAG, "take all tags off", NULL, false },
    { "+",
      { '+' },
      LAYERS,
      ACT_MORE_BITS,
      "propose the next width that can be stored, for the tagged layers or the one under the cursor; after the last "
      "comes bf16",
      "bits",
      true },
    { "-", { '-' }, LAYERS, ACT_FEWER_BITS, "propose the next narrower width that can be stored", "bits", true },
    { "2 ... 8",
      { '2', '3', '4', '5', '6', '7', '8' },
      LAYERS,
      ACT_BITS,
      "propose that many bits; grouping stays; nothing that the filter hides is touched",
      NULL,
      true },
    { "0", { '0' }, LAYERS, ACT_WHOLE_BITS, "propose bf16: leave them as they are in the model", NULL, true },
    { "=", { '=' }, LAYERS, ACT_SCHEME, "type the scheme to propose, such as w4g64z or nvfp4", "scheme", true },
    { "u", { 'u' }, LAYERS, ACT_UNDO, "undo your last change of the plan; again: the one before", "undo", false },
    { "w", { 'w' }, LAYERS, ACT_WARNINGS, "show the next lines of what the preview warns of", NULL, false },
    { "l", { 'l' }, LAYERS | IN(DIFFUSION), ACT_LOG_SCALE, "logarithmic or linear scale", "log", false },
    { "o", { 'o' }, IN(JOB), ACT_OVERLAY, "draw the curves of all tagged layers over each other", "overlay", false },
    { "m",
      { 'm' },
      IN(HEATMAP),
      ACT_MEASURE,
      "show the next measure: sensitivity, bits, loss, gain, saturation",
      "measure",
      false },
    { "M", { 'M' }, IN(HEATMAP), ACT_MEASURE_BACK, "show the measure before", NULL, false },
    { "f", { 'f' }, IN(JOB), ACT_FOLLOW, "follow: the cursor goes to the block that begins", "follow", false },
    { "f", { 'f' }, IN(LOG), ACT_FOLLOW, "follow: stay at the newest line", "follow", false },
    { "v", { 'v' }, IN(LOG), ACT_MORE_LEVELS, "show less urgent lines too, down to debug", "more", false },
    { "V", { 'V' }, IN(LOG), ACT_FEWER_LEVELS, "show only more urgent lines, up to errors", "fewer", false },
    { "/", { '/' }, LISTS, ACT_SEARCH, "search: a part of a name, or a glob with * and ?", "search", false },
    { "n", { 'n' }, LISTS, ACT_AGAIN, "go to the next match", NULL, false },
    { "N", { 'N' }, LISTS, ACT_AGAIN_BACK, "go to the match before", NULL, false },
    { "\\",
      { '\\' },
      IN(QUEUE) | IN(JOB) | IN(LOG) | IN(DIFF),
      ACT_FILTER,
      "filter: show only what matches; nothing typed shows all",
      "filter",
      false },
    { "s", { 's' }, IN(QUEUE), ACT_SORT, "sort as listed, by name, state, owner, progress", "sort", false },
    { "s", { 's' }, IN(JOB), ACT_SORT, "sort by order, loss, gain, bits, sensitivity", "sort", false },
    { "s", { 's' }, IN(DIFF), ACT_SORT, "show all layers, or only those that differ", "differing", false },
    { "d", { 'd' }, IN(QUEUE), ACT_DIFF, "compare the open job with the one under the cursor", "diff", false },
    { "d",
      { 'd' },
      IN(JOB) | IN(HEATMAP) | IN(LOG) | IN(DIFF) | IN(DIFFUSION),
      ACT_DIFF,
      "compare with another job, typed by id or name",
      "diff",
      false },
    { "Esc",
      { TOP_KEY_ESC },
      IN_ALL,
      ACT_ESCAPE,
      "drop the edits, once it has asked; without any, forget search and filter; in help, go back",
      NULL,
      false },
    { ":", { ':' }, IN_ALL, ACT_COMMAND, "type a command of srqctl(1), about the job shown", "command", false },
    { "p", { 'p' }, JOBS, ACT_JOB_PAUSE, "pause the job: checkpoint it and free its memory", "pause", false },
    { "R", { 'R' }, JOBS, ACT_JOB_RESUME, "resume the job: put it back in the queue", NULL, false },
    { "E",
      { 'E' },
      JOBS,
      ACT_JOB_FINISH,
      "finish the job: round what is left and export now; asks first",
      NULL,
      false },
    { "X", { 'X' }, JOBS, ACT_JOB_CANCEL, "cancel the job for good; asks first", NULL, false },
    { "<", { '<' }, JOBS, ACT_JOB_LATER, "lower the job's priority by 1: others go first", NULL, false },
    { ">", { '>' }, JOBS, ACT_JOB_SOONER, "raise the job's priority by 1; above 0 for administrators", NULL, false },
    { "F", { 'F' }, IN_ALL, ACT_FREEZE, "freeze the picture, or let it go on; jobs do not notice", "freeze", false },
    { "Tab", { TOP_KEY_TAB }, IN_ALL, ACT_NEXT_PANEL, "next panel", "panel", false },
    { "Shift-Tab", { TOP_KEY_BACKTAB }, IN_ALL, ACT_PREVIOUS_PANEL, "panel before", NULL, false },
    { "1 ... 7",
      { '1', '2', '3', '4', '5', '6', '7' },
      IN_ALL & ~(LAYERS),
      ACT_PANEL,
      "that panel (in Job and Heatmap digits are bits)",
      NULL,
      false },
    { "F1 ... F7",
      { TOP_KEY_F1, TOP_KEY_F2, TOP_KEY_F3, TOP_KEY_F4, TOP_KEY_F5, TOP_KEY_F6, TOP_KEY_F7 },
      IN_ALL,
      ACT_FUNCTION,
      "that panel",
      NULL,
      false },
    { "r, Ctrl-L", { 'r', 12 }, IN_ALL, ACT_REFRESH, "ask the daemon again and draw the screen anew", NULL, false },
    { "?", { '?' }, IN_ALL, ACT_HELP, "keys and panels", "help", false },
    { "Ctrl-Z", { 26 }, IN_ALL, ACT_SUSPEND, "back to the shell; fg returns", NULL, false },
    { "q, Ctrl-C", { 'q', 3 }, IN_ALL, ACT_QUIT, "quit; jobs go on; with edits it asks first", "quit", false },
    { "Click", { TOP_KEY_CLICK }, IN_ALL, ACT_CLICK, "select the row, cell or panel", NULL, false },
    { "Double click",
      { TOP_KEY_DOUBLE_CLICK },
      IN_ALL,
      ACT_DOUBLE_CLICK,
      "open the job, fold or unfold the block",
      NULL,
      false },
    { "Wheel up", { TOP_KEY_WHEEL_UP }, IN_ALL, ACT_WHEEL_UP, "move three rows up", NULL, false },
    { "Wheel down", { TOP_KEY_WHEEL_DOWN }, IN_ALL, ACT_WHEEL_DOWN, "move three rows down", NULL, false },
    { .keys = NULL },
};

const struct key_row *key_find(int code, enum top_panel panel)
{
    if (code == TOP_KEY_NONE)
        return NULL;
    for (const struct key_row *k = key_rows; k->keys != NULL; k++)
        for (int i = 0; k->panels >> panel & 1 && i < KEY_CODES && k->codes[i] != 0; i++)
            if (k->codes[i] == code)
                return k;
    return NULL;
}

const char *panel_name(enum top_panel panel)
{
    static const char *const names[TOP_PANEL_COUNT] = { "Queue", "Job", "Heatmap", "Log", "Diff", "Diffusion", "Help" };

    return names[panel];
}

const char *panel_summary(enum top_panel panel)
{
    static const char *const summaries[TOP_PANEL_COUNT] = {
        [TOP_PANEL_QUEUE] = "All jobs that the user may see: state, why one waits, stage, progress, time left, average "
                            "bits, size of the weights before and after, memory, owner",
        [TOP_PANEL_JOB] = "One job: its phases, the tree of blocks and layers with bits, group, initial and best loss, "
                          "gain, state and curve, and the curve of what is under the cursor",
        [TOP_PANEL_HEATMAP] = "Blocks by modules, each cell one layer's sensitivity, bits, loss, gain or saturation",
        [TOP_PANEL_LOG] = "What the job's worker said",
        [TOP_PANEL_DIFF] = "Two jobs side by side: size, evaluation, and for each layer scheme and error",
        [TOP_PANEL_DIFFUSION] =
            "A diffusion model: pictures of its teacher and its student, or of the result, from equal "
            "noise, how far off each step is, the loss with its parts, and what was measured",
        [TOP_PANEL_HELP] = "The keys of every panel",
    };

    return summaries[panel];
}
