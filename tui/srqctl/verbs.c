/* The verbs: one row each, in the order of srqctl --help. */
#include "tui/srqctl/cmds.h"

#define JOBS "Jobs"
#define RESULTS "Plans and results"
#define MODELS "Models and algorithms"
#define DAEMON "The daemon"
#define SELF "srqctl itself"
#define MANY 1000
#define A_JOB .min_args = 1, .max_args = 1, .complete = CTL_C_JOB
#define SOME_JOBS .min_args = 1, .max_args = MANY, .complete = CTL_C_JOBS

/* clang-format off */
const struct ctl_verb ctl_verbs[] = {
    { "submit", JOBS, "MODEL -o OUT", 0, 1, CTL_C_FILE, NULL, "Queue a job that compresses a model",
      "PATTERN: a layer's name, a glob, or re:REGEX. Options win over what --job FILE says.",
      ctl_submit_options,
      { "srqctl submit ./llama -m signround -s w4g128 --calib text.txt -o ./llama-w4 --wait",
        "srqctl submit ./llama -m rtn -s w4g128 -l '*.down_proj=w8' -o OUT --dry-run" },
      ctl_cmd_submit },
    { "list", JOBS, "", 0, 0, CTL_C_NONE, NULL, "List jobs, newest first", NULL, ctl_list_options,
      { "srqctl list --states running,queued", "srqctl list --json -n 1" }, ctl_cmd_list },
    { "show", JOBS, "JOB", A_JOB, NULL, "Show one job in full", NULL, NULL,
      { "srqctl show @last", "srqctl show 3f2a --json" }, ctl_cmd_show },
    { "watch", JOBS, "JOB", A_JOB, NULL, "Show a job's progress until it ends",
      "Ctrl-C leaves the job running. The exit code says how it ended, as with wait.", ctl_watch_options,
      { "srqctl watch @last", "srqctl watch 3f2a --json | jq .event" }, ctl_cmd_watch },
    { "wait", JOBS, "JOB", A_JOB, NULL, "Wait until a job ends; the exit code says how",
      "0: done, 7: failed or canceled, 6: --timeout passed. Ctrl-C leaves the job running.", ctl_wait_options,
      { "srqctl wait @last && ./deploy", "srqctl wait 3f2a --timeout 3600" }, ctl_cmd_wait },
    { "log", JOBS, "JOB", A_JOB, NULL, "Print a job's messages", NULL, ctl_log_options,
      { "srqctl log @last --follow", "srqctl log 3f2a --worker -n 50" }, ctl_cmd_log },
    { "cancel", JOBS, "JOB...", .min_args = 0, .max_args = MANY, .complete = CTL_C_JOBS, NULL,
      "End jobs for good", NULL, ctl_cancel_options,
      { "srqctl cancel @last", "srqctl cancel --all --yes" }, ctl_cmd_cancel },
    { "pause", JOBS, "JOB...", SOME_JOBS, NULL, "Checkpoint jobs and free their memory", NULL, NULL,
      { "srqctl pause @last", "srqctl pause 3f2a 77b0" }, ctl_cmd_pause },
    { "resume", JOBS, "JOB...", SOME_JOBS, NULL, "Put paused or failed jobs back in the queue", NULL, NULL,
      { "srqctl resume @last", "srqctl resume 3f2a 77b0" }, ctl_cmd_resume },
    { "finish", JOBS, "JOB...", SOME_JOBS, NULL, "Round what is left plainly and export now", NULL, NULL,
      { "srqctl finish @last", "srqctl finish 3f2a && srqctl wait 3f2a" }, ctl_cmd_finish },
    { "priority", JOBS, "JOB N", .min_args = 2, .max_args = 2, .complete = CTL_C_JOB, NULL,
      "Set a job's priority, -1000 to 1000; higher goes first", "Above 0 needs an administrator.", NULL,
      { "srqctl priority @last -5", "srqctl priority 3f2a 10" }, ctl_cmd_priority },
    { "delete", JOBS, "JOB...", SOME_JOBS, NULL, "Forget ended jobs; their output stays", NULL, NULL,
      { "srqctl delete @last", "srqctl delete 3f2a 77b0" }, ctl_cmd_delete },
    { "gc", JOBS, "", 0, 0, CTL_C_NONE, NULL, "Delete ended jobs beyond the configured retention", NULL,
      ctl_gc_options, { "srqctl gc --dry-run", "srqctl gc --json" }, ctl_cmd_gc },

    { "plan", RESULTS, "JOB", A_JOB, NULL, "Show how each layer is stored, or go back to an earlier plan",
      "--revert makes a new revision with the pins, schemes and budget of REVISION.", ctl_plan_options,
      { "srqctl plan @last --history", "srqctl plan 3f2a --revert 0 --dry-run" }, ctl_cmd_plan },
    { "pin", RESULTS, "JOB PATTERN SCHEME", .min_args = 2, .max_args = MANY, .complete = CTL_C_JOB_LAYERS, NULL,
      "Decide how layers are stored, also while the job runs",
      "Or any number of PATTERN=SCHEME. No allocator changes a pinned layer. Blocks that were\n"
      "tuned already are tuned again at the end. PATTERN: a name, a glob, or re:REGEX.",
      ctl_pin_options,
      { "srqctl pin @last '*.down_proj' w8 --dry-run", "srqctl pin 3f2a 'model.layers.0.*=w8' '*.o_proj=w8g64'" },
      ctl_cmd_pin },
    { "unpin", RESULTS, "JOB PATTERN...", .min_args = 2, .max_args = MANY, .complete = CTL_C_JOB_LAYERS, NULL,
      "Take decisions about layers back", "They get the default scheme, or with a budget what the allocator chooses.",
      ctl_unpin_options, { "srqctl unpin @last '*.down_proj'", "srqctl unpin 3f2a '*' --dry-run" }, ctl_cmd_unpin },
    { "budget", RESULTS, "JOB BITS", .min_args = 2, .max_args = 2, .complete = CTL_C_JOB, NULL,
      "Set average bits; layers are chosen again around the pins",
      "BITS: bits a weight with scales, or none: no budget, layers keep what they have. Layers\n"
      "tuned already stay unless --release is given.",
      ctl_budget_options, { "srqctl budget @last 3.5 --dry-run", "srqctl budget 3f2a none" }, ctl_cmd_budget },
    { "retune", RESULTS, "JOB PATTERN...", .min_args = 2, .max_args = MANY, .complete = CTL_C_JOB_LAYERS, NULL,
      "Have the blocks of layers tuned again", NULL, ctl_retune_options,
      { "srqctl retune @last 'model.layers.3.*'", "srqctl retune 3f2a 'model.layers.0.*' --propagate --dry-run" },
      ctl_cmd_retune },
    { "set", RESULTS, "JOB NAME=VALUE...", .min_args = 2, .max_args = MANY, .complete = CTL_C_JOB, NULL,
      "Change options while a job runs",
      "lr: learning rate of diffusion-qat, from the next step on. hp_first, hp_last: steps of\n"
      "sampling that the mix computes in high precision. NAME=default: as submitted.",
      ctl_set_options, { "srqctl set @last lr=2e-5", "srqctl set 3f2a hp_first=3 hp_last=default" }, ctl_cmd_set },
    { "heatmap", RESULTS, "JOB", A_JOB, NULL, "Show a number for every layer, blocks by modules",
      "sensitivity: predicted loss of its scheme. loss: relative output error. gain: share of\n"
      "the first error that tuning took away. saturation: share of codes at the ends.",
      ctl_heatmap_options,
      { "srqctl heatmap @last --by loss", "srqctl heatmap 3f2a --by bits --csv > bits.csv" }, ctl_cmd_heatmap },
    { "series", RESULTS, "JOB", A_JOB, NULL, "Print a block's losses or a layer's errors", NULL, ctl_series_options,
      { "srqctl series @last --block 0", "srqctl series 3f2a --layer model.layers.0.mlp.down_proj --csv" },
      ctl_cmd_series },
    { "report", RESULTS, "JOB", A_JOB, NULL, "Show the report of a job that is done", NULL, ctl_report_options,
      { "srqctl report @last", "srqctl report 3f2a -o report.html" }, ctl_cmd_report },
    { "compare", RESULTS, "MODEL -m LIST -s LIST --eval FILE", 1, 1, CTL_C_FILE, NULL,
      "Run methods by schemes and show them in one table",
      "A method is plugins joined by +, with a label before = (without one it is called as\n"
      "it is written) and options behind colons:\n"
      "v1=signround:signround.alg_ext=false. --set PLUGIN.KEY=VALUE is for methods with PLUGIN.\n"
      "Results that are in DIR already are not run again. Ctrl-C cancels what has not ended.",
      ctl_compare_options,
      { "srqctl compare ./llama -m rtn,teq+gptq -s w3g64,w4g64 --calib c.txt --eval t.txt",
        "srqctl compare ./llama -m gptq,big=gptq:gptq.damp=0.1 -s w3 --calib c.txt --eval t.txt" },
      ctl_cmd_compare },

    { "eval", MODELS, "MODEL --eval FILE", 1, 1, CTL_C_FILE, NULL,
      "Measure a model's perplexity, exports included", NULL, ctl_eval_options,
      { "srqctl eval ./llama-w4 --eval text.txt", "srqctl eval ./llama-w4 --eval text.txt --reference ./llama" },
      ctl_cmd_eval },
    { "sample", MODELS, "MODEL", 1, 1, CTL_C_FILE, NULL, "Make pictures with a diffusion model",
      "A seed has the same pictures for any --batch. Ctrl-C leaves no file behind.",
      ctl_sample_options,
      { "srqctl sample ./ddpm -n 64 -o ddpm.png",
        "srqctl sample ./ddpm-w8 --high ./ddpm --hp-first 5 --hp-last 5 --npy ddpm-w8.npy" },
      ctl_cmd_sample },
    { "inspect", MODELS, "MODEL", 1, 1, CTL_C_FILE, NULL, "Show a model's family, layers, shapes and quantization",
      NULL, NULL, { "srqctl inspect ./llama", "srqctl inspect ./llama-w4 --json | jq .family" }, ctl_cmd_inspect },
    { "plugin list", MODELS, "", 0, 0, CTL_C_NONE, NULL, "List the algorithms", NULL, NULL,
      { "srqctl plugin list", "srqctl plugin list --json" }, ctl_cmd_plugin_list },
    { "plugin info", MODELS, "NAME", 1, 1, CTL_C_PLUGIN, NULL, "Show an algorithm and its options", NULL, NULL,
      { "srqctl plugin info signround", "srqctl plugin info rtn --json" }, ctl_cmd_plugin_info },

    { "daemon info", DAEMON, "", 0, 0, CTL_C_NONE, NULL, "Show what the daemon is and does", NULL, NULL,
      { "srqctl daemon info", "srqctl daemon info --json | jq .socket" }, ctl_cmd_daemon_info },
    { "daemon drain", DAEMON, "", 0, 0, CTL_C_NONE, NULL, "Start no more jobs; running ones go on", NULL,
      ctl_drain_options, { "srqctl daemon drain", "srqctl daemon drain --off" }, ctl_cmd_daemon_drain },
    { "daemon reload", DAEMON, "", 0, 0, CTL_C_NONE, NULL, "Read the configuration again", NULL, NULL,
      { "srqctl daemon reload", "srqctl daemon reload --json" }, ctl_cmd_daemon_reload },
    { "daemon stop", DAEMON, "", 0, 0, CTL_C_NONE, NULL, "End the daemon; workers go on",
      "Returns when it is gone; Ctrl-C stops the waiting, not the end.", ctl_stop_options,
      { "srqctl daemon stop", "srqctl daemon stop --jobs" }, ctl_cmd_daemon_stop },
    { "doctor", DAEMON, "", 0, 0, CTL_C_NONE, NULL, "Check this installation and say what to do", NULL, NULL,
      { "srqctl doctor", "srqctl doctor --json" }, ctl_cmd_doctor },

    { "completion", SELF, "SHELL", 1, 2, CTL_C_WORDS, "bash zsh fish", "Print a completion script",
      "What the scripts ask for, one a line: jobs, plugins, keys (of --set), layers JOB.", NULL,
      { "source <(srqctl completion bash)", "srqctl completion zsh > ~/.zfunc/_srqctl" }, ctl_cmd_completion },
    { "help", SELF, "[VERB]", 0, 2, CTL_C_VERB, NULL, "Show help, of one verb or of all", NULL, NULL,
      { "srqctl help submit", "srqctl help --json" }, ctl_cmd_help },
    { "version", SELF, "", 0, 0, CTL_C_NONE, NULL, "Print the version", NULL, NULL,
      { "srqctl version", "srqctl version --json" }, ctl_cmd_version },
    { .name = NULL },
};
/* clang-format on */

const struct ctl_alias ctl_aliases[] = { { "ls", "list" }, { "status", "show" }, { "rm", "delete" }, { NULL, NULL } };
