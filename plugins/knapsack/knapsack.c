/* Knapsack: the plan of least summed score inside a budget of bits, proven (spec signround 7.2).
 *
 * Every unit takes exactly one of its choices: a multiple-choice knapsack. Its dynamic programme keeps, unit after
 * unit, the list of partial plans that no other beats in both bits and loss. Over real sizes that list would grow to
 * millions, so it only holds plans that can still win:
 *   1. The linear relaxation gives a price λ of a bit. With it every choice has a reduced cost r >= 0, what it loses
 *      against the unit's best choice at that price, and no plan has less loss than  loss(base) + r(plan) - λ * unused
 * bits.
 *   2. Greedy filling and exchanges of one or two choices give a good plan to begin with.
 *   3. Partial plans whose bound is not below the best plan known are dropped. What is left is small, because the gap
 *      between relaxation and optimum shrinks as units grow in number.
 * If more than `max_states` partial plans were made all the same, or lists of them merged for too long, the best plan
 * found is given with its proven bound: that happens where all bits are worth the same and sizes have nothing in
 * common. */
#include <srq/plugin.h>

#define EPSILON 1e-12      /* of the sum of losses: differences below are rounding errors of the sum itself */
#define MERGES 16          /* steps of merging that may be made for each partial plan allowed */
#define EXCHANGES 40       /* rounds of improving the first plan */
#define FRONT_WORK 3000000 /* steps that an exact front may take; longer ones are made of the relaxation's corners */
#define FRONT_LIST 65536
#define NONE UINT32_MAX

struct knapsack {
    int64_t max_states;
};

struct item {
    uint64_t bits;
    double loss;
    double reduced; /* r at the price λ */
    int unit, choice;
};

struct upgrade {  /* one step along a unit's convex hull */
    int from, to; /* items */
    double slope; /* loss saved per bit */
};

struct exchange { /* another choice than the present one */
    int64_t bits;
    double loss;
    int item;
};

struct state { /* a partial plan, as differences from the base plan */
    int64_t bits;
    double loss, reduced;
    uint32_t parent, item;
};

struct solver {
    const struct srq_host *h;
    struct srq_error *err;
    const struct srq_alloc_unit *const *units;
    int count;
    uint64_t budget, least;
    double scale;
    struct item *items; /* undominated choices, unit by unit, ascending bits */
    int *first;         /* [count + 1] into items */
    struct upgrade *upgrades;
    int upgrade_count;
    int *base, *best; /* [count] items: at the price λ; of the best plan known */
    uint64_t base_bits, best_bits;
    double base_loss, best_loss, lambda;
    bool proven;
    /* the dynamic programme */
    int64_t max_states, work; /* work: steps of merging so far */
    struct state *states;
    int64_t state_count, state_cap;
    uint32_t *list[3]; /* partial plans: of the units so far, result being merged, spare */
    int64_t list_cap[3];
    double best_delta; /* loss of the best plan against the base */
    uint32_t best_state;
};

static int out_of_memory(const struct solver *s)
{
    return srq_fail(s->err, -SRQ_ENOMEM, "no memory to allocate bits to %d units", s->count);
}

/* ---- sorting (heap sort: no recursion, no memory, the same order everywhere) ------------------------------------- */

typedef bool (*before_fn)(const void *a, const void *b);

static void swap_bytes(char *a, char *b, size_t size)
{
    char tmp[64];

    __builtin_memcpy(tmp, a, size);
    __builtin_memcpy(a, b, size);
    __builtin_memcpy(b, tmp, size);
}

static void sift(char *at, size_t size, size_t root, size_t n, before_fn before)
{
    for (size_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
        if (child + 1 < n && before(at + child * size, at + (child + 1) * size))
            child++;
        if (!before(at + root * size, at + child * size))
            return;
        swap_bytes(at + root * size, at + child * size, size);
        root = child;
    }
}

static void sort(void *list, size_t n, size_t size, before_fn before)
{
    char *at = list;

    for (size_t i = n / 2; i-- > 0;)
        sift(at, size, i, n, before);
    for (size_t i = n; i-- > 1;) {
        swap_bytes(at, at + i * size, size);
        sift(at, size, 0, i, before);
    }
}

/* ---- choices ----------------------------------------------------------------------------------------------------- */

static bool smaller_item(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    if (x->bits != y->bits)
        return x->bits < y->bits;
    return x->loss != y->loss ? x->loss < y->loss : x->choice < y->choice;
}

static uint64_t divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* Choices without those that another beats in bits and loss; what any budget must cover; the budget rounded down to
 * what sums of these bits can reach. */
static int gather(struct solver *s)
{
    uint64_t step = 0;
    int n = 0;

    for (int u = 0; u < s->count; u++) {
        const struct srq_alloc_unit *unit = s->units[u];
        int begin = n, kept = n;

        s->first[u] = begin;
        for (int c = 0; c < unit->choices; c++) {
            if (!__builtin_isfinite(unit->loss[c]))
                return srq_fail(s->err, -SRQ_EINVAL, "choice %d of unit %d has no finite loss", c, u);
            s->items[n++] = (struct item){ .bits = unit->bits[c], .loss = unit->loss[c], .unit = u, .choice = c };
        }
        if (n == begin)
            return srq_fail(s->err, -SRQ_EINVAL, "unit %d has no choice", u);
        sort(s->items + begin, (size_t)(n - begin), sizeof(*s->items), smaller_item);
        for (int i = begin; i < n; i++) {
            if (i == begin || s->items[i].loss < s->items[kept - 1].loss)
                s->items[kept++] = s->items[i];
        }
        n = kept;
        s->least += s->items[begin].bits;
        for (int i = begin + 1; i < n; i++)
            step = divisor(step, s->items[i].bits - s->items[begin].bits);
        s->scale += __builtin_fabs(s->items[begin].loss);
    }
    s->first[s->count] = n;
    if (s->least > s->budget)
        return srq_fail(s->err, -SRQ_EINVAL, "no plan has fewer than %llu bits, and %llu are allowed",
                        (unsigned long long)s->least, (unsigned long long)s->budget);
    if (step > 0)
        s->budget = s->least + (s->budget - s->least) / step * step;
    return 0;
}

/* ---- the relaxation ---------------------------------------------------------------------------------------------- */

static double slope(const struct item *from, const struct item *to)
{
    return (from->loss - to->loss) / (double)(to->bits - from->bits);
}

static bool steeper(const void *a, const void *b)
{
    const struct upgrade *x = a, *y = b;

    return x->slope != y->slope ? x->slope > y->slope : x->from < y->from;
}

/* Steps along the lower convex hulls of all units, the most saving first. */
static void find_upgrades(struct solver *s)
{
    for (int u = 0; u < s->count; u++) {
        int end = s->first[u + 1];

        for (int i = s->first[u], next; i < end - 1; i = next) {
            struct upgrade best = { .from = i, .to = -1 };

            for (int k = i + 1; k < end; k++) {
                double v = slope(&s->items[i], &s->items[k]);

                if (best.to < 0 || v >= best.slope) {
                    best.to = k;
                    best.slope = v;
                }
            }
            s->upgrades[s->upgrade_count++] = best;
            next = best.to;
        }
    }
    sort(s->upgrades, (size_t)s->upgrade_count, sizeof(*s->upgrades), steeper);
}

static void total(const struct solver *s, const int *plan, uint64_t *bits, double *loss)
{
    *bits = 0;
    *loss = 0;
    for (int u = 0; u < s->count; u++) {
        *bits += s->items[plan[u]].bits;
        *loss += s->items[plan[u]].loss;
    }
}

/* Takes upgrades while they fit: the price is the slope of the first that does not. Later ones that fit still make the
 * first plan better. */
static void fill(struct solver *s)
{
    uint64_t bits = s->least;
    bool split = false;

    for (int u = 0; u < s->count; u++)
        s->best[u] = s->first[u];
    for (int i = 0; i < s->upgrade_count; i++) {
        const struct upgrade *up = &s->upgrades[i];
        int unit = s->items[up->from].unit;
        uint64_t more = s->items[up->to].bits - s->items[up->from].bits;

        if (s->best[unit] == up->from && bits + more <= s->budget) {
            s->best[unit] = up->to;
            bits += more;
        } else if (!split) {
            split = true;
            s->lambda = up->slope;
        }
    }
    s->proven = !split; /* everything fits: every unit has its least loss */
    total(s, s->best, &s->best_bits, &s->best_loss);
}

/* The base plan: every unit's best choice when a bit costs λ; and what the others lose against it. */
static void price(struct solver *s)
{
    for (int u = 0; u < s->count; u++) {
        double least = 0;

        for (int i = s->first[u]; i < s->first[u + 1]; i++) {
            double v = s->items[i].loss + s->lambda * (double)s->items[i].bits;

            if (i == s->first[u] || v < least) {
                least = v;
                s->base[u] = i;
            }
        }
        for (int i = s->first[u]; i < s->first[u + 1]; i++) {
            double v = s->items[i].loss - s->items[s->base[u]].loss +
                       s->lambda * ((double)s->items[i].bits - (double)s->items[s->base[u]].bits);

            s->items[i].reduced = v > 0 ? v : 0;
        }
    }
    total(s, s->base, &s->base_bits, &s->base_loss);
}

/* ---- a good plan to begin with ----------------------------------------------------------------------------------- */

static bool fewer_bits(const void *a, const void *b)
{
    const struct exchange *x = a, *y = b;

    if (x->bits != y->bits)
        return x->bits < y->bits;
    return x->loss != y->loss ? x->loss < y->loss : x->item < y->item;
}

/* The exchange of least loss among the first so many, and the least of another unit. */
struct leaders {
    int one, two;
};

static void lead(const struct solver *s, const struct exchange *x, int i, struct leaders *l)
{
    int unit = s->items[x[i].item].unit;

    if (l->one < 0 || x[i].loss < x[l->one].loss) {
        if (l->one >= 0 && s->items[x[l->one].item].unit != unit)
            l->two = l->one;
        l->one = i;
    } else if (unit != s->items[x[l->one].item].unit && (l->two < 0 || x[i].loss < x[l->two].loss)) {
        l->two = i;
    }
}

/* The best exchange of one or two units' choices that keeps inside the budget. False: none lowers the loss. */
static bool improve(struct solver *s, struct exchange *x)
{
    int64_t room = (int64_t)(s->budget - s->best_bits);
    struct leaders l = { -1, -1 };
    double best = -EPSILON * s->scale;
    int n = 0, a = -1, b = -1, next = 0;

    for (int i = 0; i < s->first[s->count]; i++) {
        const struct item *now = &s->items[s->best[s->items[i].unit]], *it = &s->items[i];

        if (it != now)
            x[n++] = (struct exchange){ (int64_t)it->bits - (int64_t)now->bits, it->loss - now->loss, i };
    }
    sort(x, (size_t)n, sizeof(*x), fewer_bits);
    for (int i = n - 1; i >= 0; i--) { /* the more bits one takes, the fewer are left for the other */
        int other;

        if (x[i].bits <= room && x[i].loss < best) {
            best = x[i].loss;
            a = i;
            b = -1;
        }
        while (next < n && x[next].bits <= room - x[i].bits)
            lead(s, x, next++, &l);
        other = l.one >= 0 && s->items[x[l.one].item].unit == s->items[x[i].item].unit ? l.two : l.one;
        if (other >= 0 && x[i].loss + x[other].loss < best) {
            best = x[i].loss + x[other].loss;
            a = i;
            b = other;
        }
    }
    if (a < 0)
        return false;
    s->best[s->items[x[a].item].unit] = x[a].item;
    if (b >= 0)
        s->best[s->items[x[b].item].unit] = x[b].item;
    total(s, s->best, &s->best_bits, &s->best_loss);
    return true;
}

/* ---- the dynamic programme --------------------------------------------------------------------------------------- */

static void *grow(const struct solver *s, void *old, int64_t *cap, int64_t want, size_t size)
{
    int64_t more = *cap > 0 ? *cap : 4096;
    void *p;

    if (want <= *cap)
        return old;
    while (more < want)
        more *= 2;
    p = s->h->alloc((size_t)more * size);
    if (p != NULL && old != NULL)
        __builtin_memcpy(p, old, (size_t)*cap * size);
    if (p == NULL)
        return NULL;
    if (old != NULL)
        s->h->free(old);
    *cap = more;
    return p;
}

static int reserve_list(struct solver *s, int which, int64_t want)
{
    uint32_t *p = grow(s, s->list[which], &s->list_cap[which], want, sizeof(*p));

    if (p == NULL)
        return out_of_memory(s);
    s->list[which] = p;
    return 0;
}

/* Whether plans of this reduced cost can still beat the best one. */
static bool hopeful(const struct solver *s, double reduced)
{
    double room = (double)((int64_t)s->budget - (int64_t)s->base_bits);

    return reduced - s->lambda * room < s->best_delta - EPSILON * s->scale;
}

/* A new partial plan: `from` with another item. Its index, NONE when it cannot win, or -1 as error code by *rc. */
static uint32_t add_state(struct solver *s, const struct state *from, uint32_t parent, int item, int64_t most_bits,
                          int *rc)
{
    const struct item *it = &s->items[item], *base = &s->items[s->base[it->unit]];
    struct state n = { from->bits + (int64_t)it->bits - (int64_t)base->bits, from->loss + (it->loss - base->loss),
                       from->reduced + it->reduced, parent, (uint32_t)item };

    if (!hopeful(s, n.reduced) || n.bits > most_bits)
        return NONE;
    if (s->state_count >= s->max_states) {
        *rc = 1;
        return NONE;
    }
    if (s->state_count == s->state_cap) {
        struct state *p = grow(s, s->states, &s->state_cap, s->state_count + 1, sizeof(*p));

        if (p == NULL) {
            *rc = out_of_memory(s);
            return NONE;
        }
        s->states = p;
    }
    s->states[s->state_count] = n;
    if ((int64_t)s->base_bits + n.bits <= (int64_t)s->budget && n.loss < s->best_delta) {
        s->best_delta = n.loss;
        s->best_state = (uint32_t)s->state_count;
    }
    return (uint32_t)s->state_count++;
}

/* Merges `have` [n] (in list 1) with the plans of list 0 [m] that take `item` instead of the base; into list 1. */
static int merge(struct solver *s, int64_t *n, int64_t m, int item, int64_t most_bits)
{
    const struct item *it = &s->items[item], *base = &s->items[s->base[it->unit]];
    int64_t shift = (int64_t)it->bits - (int64_t)base->bits, i = 0, k = 0, out = 0;
    double drop = it->loss - base->loss, last = 0;
    uint32_t *spare;
    int rc = reserve_list(s, 2, *n + m + 1);

    s->work += *n + m;
    if (rc == 0 && s->work / MERGES > s->max_states)
        return 1;
    while (rc == 0 && (i < *n || k < m)) {
        const struct state *a = i < *n ? &s->states[s->list[1][i]] : NULL,
                           *b = k < m ? &s->states[s->list[0][k]] : NULL;
        int64_t b_bits = b != NULL ? b->bits + shift : 0;
        double b_loss = b != NULL ? b->loss + drop : 0;
        bool first = b == NULL || (a != NULL && (a->bits < b_bits || (a->bits == b_bits && a->loss <= b_loss)));
        double loss = first ? a->loss : b_loss;
        uint32_t index;

        if (out > 0 && loss >= last) {
            index = NONE;
        } else if (first) {
            index = hopeful(s, a->reduced) && a->bits <= most_bits ? s->list[1][i] : NONE;
        } else {
            struct state from = *b; /* the array may move */

            index = add_state(s, &from, s->list[0][k], item, most_bits, &rc);
        }
        if (index != NONE) {
            s->list[2][out++] = index;
            last = loss;
        }
        i += first;
        k += !first;
    }
    if (rc != 0)
        return rc;
    spare = s->list[1];
    s->list[1] = s->list[2];
    s->list[2] = spare;
    m = s->list_cap[1];
    s->list_cap[1] = s->list_cap[2];
    s->list_cap[2] = m;
    *n = out;
    return 0;
}

struct turn {       /* a unit in the order in which the programme takes them */
    double least;   /* reduced cost of its best alternative */
    int64_t saving; /* bits that it can give back at most, against its base */
    int unit;
};

static bool dearer(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;

    return x->least != y->least ? x->least > y->least : x->unit < y->unit;
}

/* Units that still have an alternative worth looking at. Dear ones come first: they keep the lists short for
 * longest. */
static int order_units(const struct solver *s, struct turn *turns)
{
    int n = 0;

    for (int u = 0; u < s->count; u++) {
        struct turn t = { .least = -1, .unit = u };

        for (int i = s->first[u]; i < s->first[u + 1]; i++) {
            int64_t saved = (int64_t)s->items[s->base[u]].bits - (int64_t)s->items[i].bits;

            if (i == s->base[u] || !hopeful(s, s->items[i].reduced))
                continue;
            if (t.least < 0 || s->items[i].reduced < t.least)
                t.least = s->items[i].reduced;
            t.saving = saved > t.saving ? saved : t.saving;
        }
        if (t.least >= 0)
            turns[n++] = t;
    }
    sort(turns, (size_t)n, sizeof(*turns), dearer);
    return n;
}

/* 0: every plan that could win was looked at. 1: the search was cut short. */
static int search(struct solver *s, struct turn *turns)
{
    int64_t room = (int64_t)s->budget - (int64_t)s->base_bits, saving = 0, n = 1;
    int count = order_units(s, turns), rc = reserve_list(s, 0, 1);

    for (int t = 0; t < count; t++)
        saving += turns[t].saving;
    s->states = grow(s, NULL, &s->state_cap, 4096, sizeof(*s->states));
    if (s->states == NULL)
        return out_of_memory(s);
    s->states[0] = (struct state){ .parent = NONE, .item = NONE };
    s->state_count = 1;
    if (rc == 0)
        s->list[0][0] = 0;
    if (room >= 0 && 0 < s->best_delta) { /* the base plan itself */
        s->best_delta = 0;
        s->best_state = 0;
    }
    for (int t = 0; rc == 0 && t < count; t++) {
        int u = turns[t].unit;
        int64_t merged = n;
        uint32_t *list;

        saving -= turns[t].saving;
        rc = reserve_list(s, 1, n);
        if (rc == 0)
            __builtin_memcpy(s->list[1], s->list[0], (size_t)n * sizeof(**s->list));
        for (int i = s->first[u]; rc == 0 && i < s->first[u + 1]; i++) {
            if (i != s->base[u] && hopeful(s, s->items[i].reduced))
                rc = merge(s, &merged, n, i, room + saving);
        }
        list = s->list[0];
        s->list[0] = s->list[1];
        s->list[1] = list;
        n = s->list_cap[0];
        s->list_cap[0] = s->list_cap[1];
        s->list_cap[1] = n;
        n = merged;
    }
    return rc;
}

static void take_best(struct solver *s)
{
    if (s->best_state == NONE)
        return;
    for (int u = 0; u < s->count; u++)
        s->best[u] = s->base[u];
    for (uint32_t i = s->best_state; s->states[i].parent != NONE; i = s->states[i].parent)
        s->best[s->items[s->states[i].item].unit] = (int)s->states[i].item;
    total(s, s->best, &s->best_bits, &s->best_loss);
}

/* ---- the front --------------------------------------------------------------------------------------------------- */

struct point {
    uint64_t bits;
    double loss;
};

struct points {
    struct point *at;
    int64_t n;
};

/* out = have merged with `from` shifted by an item, without what others beat. */
static void merge_points(const struct points *have, const struct points *from, const struct item *it,
                         struct points *out)
{
    int64_t i = 0, k = 0;

    out->n = 0;
    while (i < have->n || k < from->n) {
        struct point b = { 0, 0 }, p;
        bool first;

        if (k < from->n)
            b = (struct point){ from->at[k].bits + it->bits, from->at[k].loss + it->loss };
        first =
            k == from->n ||
            (i < have->n && (have->at[i].bits < b.bits || (have->at[i].bits == b.bits && have->at[i].loss <= b.loss)));
        p = first ? have->at[i++] : b;
        k += !first;
        if (out->n == 0 || p.loss < out->at[out->n - 1].loss)
            out->at[out->n++] = p;
    }
}

/* All plans that no other beats, where that takes little work. False: it would not. */
static bool exact_front(const struct solver *s, struct points lists[3])
{
    int64_t work = 0;

    lists[0].n = 1;
    lists[0].at[0] = (struct point){ 0, 0 };
    for (int u = 0; u < s->count; u++) {
        struct points old = lists[0];

        lists[1].n = 0;
        for (int i = s->first[u]; i < s->first[u + 1]; i++) {
            struct points swap;

            if (lists[1].n + old.n > FRONT_LIST || (work += lists[1].n + old.n) > FRONT_WORK)
                return false;
            merge_points(&lists[1], &old, &s->items[i], &lists[2]);
            swap = lists[1];
            lists[1] = lists[2];
            lists[2] = swap;
        }
        lists[0] = lists[1];
        lists[1] = old;
    }
    return true;
}

/* The corners of the relaxation: plans that are best for some price of a bit. They are on the front; others lie
 * between. */
static void corners(const struct solver *s, struct points *out)
{
    struct point p = { 0, 0 };

    for (int u = 0; u < s->count; u++) {
        p.bits += s->items[s->first[u]].bits;
        p.loss += s->items[s->first[u]].loss;
    }
    out->n = 0;
    out->at[out->n++] = p;
    for (int i = 0; i < s->upgrade_count; i++) {
        p.bits += s->items[s->upgrades[i].to].bits - s->items[s->upgrades[i].from].bits;
        p.loss += s->items[s->upgrades[i].to].loss - s->items[s->upgrades[i].from].loss;
        out->at[out->n++] = p;
    }
}

static void set_front(struct srq_alloc_result *out, int64_t i, const struct point *p)
{
    out->front_bits[i] = p->bits;
    out->front_loss[i] = p->loss;
}

/* Evenly thinned to the room there is; the plan chosen takes the place of the point nearest to it. */
static void give_front(const struct solver *s, const struct points *p, struct srq_alloc_result *out)
{
    int64_t cap = out->front_cap, n = p->n < cap ? p->n : cap;
    int near = 0;

    for (int64_t i = 0; i < n; i++)
        set_front(out, i, &p->at[n > 1 ? i * (p->n - 1) / (n - 1) : 0]);
    out->front_count = (int)n;
    for (int i = 1; i + 1 < (int)n; i++) {
        uint64_t a = out->front_bits[i], b = out->front_bits[near], x = s->best_bits;

        if (near == 0 || (a > x ? a - x : x - a) < (b > x ? b - x : x - b))
            near = i;
    }
    if (near > 0 && s->proven && out->front_bits[near - 1] < s->best_bits && s->best_bits < out->front_bits[near + 1])
        set_front(out, near, &(struct point){ s->best_bits, s->best_loss });
}

static int make_front(const struct solver *s, struct srq_alloc_result *out)
{
    struct point *memory;
    struct points lists[3];
    size_t n = (size_t)(FRONT_LIST > s->upgrade_count + 1 ? FRONT_LIST : s->upgrade_count + 1);

    out->front_count = 0;
    if (out->front_cap <= 0)
        return 0;
    memory = s->h->alloc(3 * n * sizeof(*memory));
    if (memory == NULL)
        return out_of_memory(s);
    for (size_t i = 0; i < 3; i++)
        lists[i] = (struct points){ memory + i * n, 0 };
    if (!exact_front(s, lists))
        corners(s, &lists[0]);
    give_front(s, &lists[0], out);
    s->h->free(memory);
    return 0;
}

/* ---- the part ---------------------------------------------------------------------------------------------------- */

static int optimize(struct solver *s)
{
    size_t items = (size_t)s->first[s->count], n = items + (size_t)s->count + 1;
    struct exchange *x = s->h->alloc(n * sizeof(*x));
    struct turn *turns = s->h->alloc(n * sizeof(*turns));
    int rc = x != NULL && turns != NULL ? 0 : out_of_memory(s);

    find_upgrades(s);
    fill(s);
    if (rc == 0 && !s->proven) {
        for (int i = 0; i < EXCHANGES && improve(s, x); i++)
            continue;
        price(s);
        s->best_delta = s->best_loss - s->base_loss;
        s->best_state = NONE;
        rc = search(s, turns);
        s->proven = rc == 0;
        if (rc >= 0)
            take_best(s);
        rc = rc < 0 ? rc : 0;
    }
    s->h->free(x);
    s->h->free(turns);
    return rc;
}

static int answer(struct solver *s, struct srq_alloc_result *out)
{
    double room = (double)((int64_t)s->budget - (int64_t)s->base_bits);

    for (int u = 0; u < s->count; u++)
        out->choice[u] = s->items[s->best[u]].choice;
    out->bits = s->best_bits;
    out->loss = s->best_loss;
    out->bound = s->proven ? s->best_loss : s->base_loss - s->lambda * room;
    if (out->bound > out->loss)
        out->bound = out->loss;
    if (!s->proven)
        s->h->log(SRQ_LOG_WARN,
                  "the allocator stopped after %lld partial plans; its plan's loss %.6g is at most %.3g from the best",
                  (long long)s->state_count, out->loss, out->loss - out->bound);
    return make_front(s, out);
}

static int knapsack_solve(const struct srq_host *h, void *self, const struct srq_alloc_unit *const *units, int count,
                          uint64_t budget, struct srq_alloc_result *out, struct srq_error *err)
{
    const struct knapsack *k = self;
    struct solver s = {
        .h = h, .err = err, .units = units, .count = count, .budget = budget, .max_states = k->max_states
    };
    size_t items = 1;
    int rc;

    for (int u = 0; u < count; u++)
        items += (size_t)units[u]->choices;
    s.items = h->alloc(items * sizeof(*s.items));
    s.upgrades = h->alloc(items * sizeof(*s.upgrades));
    s.first = h->alloc(3 * ((size_t)count + 1) * sizeof(*s.first));
    if (s.items == NULL || s.upgrades == NULL || s.first == NULL) {
        rc = out_of_memory(&s);
    } else {
        s.base = s.first + count + 1;
        s.best = s.base + count + 1;
        rc = gather(&s);
    }
    if (rc == 0)
        rc = optimize(&s);
    if (rc == 0)
        rc = answer(&s, out);
    for (int i = 0; i < 3; i++)
        h->free(s.list[i]);
    h->free(s.states);
    h->free(s.first);
    h->free(s.upgrades);
    h->free(s.items);
    return rc;
}

static int knapsack_create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct knapsack *k = h->alloc(sizeof(*k));

    if (k == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for the allocator");
    k->max_states = h->opt_int(o, "max_states");
    *self = k;
    return 0;
}

static void knapsack_destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "max_states", .type = SRQ_OPT_INT, .unit = "partial plans", .min = 1000, .max = 1e9,
               .value = "1000000",
               .help = "Partial plans, of 32 bytes each, after which the best plan found is given with its proven "
                       "bound instead of the optimum; practical sizes need a few thousand."),
};

static const struct srq_allocator allocator = { .size = sizeof(allocator), .solve = knapsack_solve };

const struct srq_plugin srq_plugin = {
    SRQ_PLUGIN_HEAD,
    .name = "knapsack",
    .version = "1.0",
    .summary = "Picks the plan of least summed score inside a budget of bits, with proof.",
    SRQ_OPTIONS(options),
    .create = knapsack_create,
    .destroy = knapsack_destroy,
    .allocator = &allocator,
};
