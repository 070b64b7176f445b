/* Columns of a table within a given width. */
#include "tui/srqtop/columns.h"

void columns_fit(const struct column *columns, int count, int x, int width, struct column_place *place)
{
    int used = -1;

    for (int i = 0; i < count; i++) {
        place[i].w = columns[i].least;
        used += columns[i].least + 1;
    }
    while (used > width) {
        int worst = -1;

        for (int i = 0; i < count; i++)
            if (place[i].w > 0 && columns[i].rank > 0 && (worst < 0 || columns[i].rank > columns[worst].rank))
                worst = i;
        if (worst < 0)
            break;
        used -= place[worst].w + 1;
        place[worst].w = 0;
    }
    /* One cell at a time to each in turn: none starves. */
    for (bool grew = true; grew && used < width;) {
        grew = false;
        for (int i = 0; i < count && used < width; i++)
            if (place[i].w > 0 && place[i].w < columns[i].most) {
                place[i].w++;
                used++;
                grew = true;
            }
    }
    for (int i = 0, at = x; i < count; i++) {
        place[i].x = at;
        if (place[i].w > 0 && at + place[i].w > x + width) /* the one that never goes may be cut */
            place[i].w = x + width > at ? x + width - at : 0;
        at += place[i].w > 0 ? place[i].w + 1 : 0;
    }
}

void columns_titles(struct canvas *c, int y, const struct column *columns, int count, const struct column_place *place)
{
    for (int i = 0; i < count; i++) {
        if (place[i].w == 0)
            continue;
        if (columns[i].right)
            canvas_str_right(c, place[i].x, y, place[i].w, columns[i].title, ROLE_HEAD, 0);
        else
            canvas_str(c, place[i].x, y, place[i].w, columns[i].title, ROLE_HEAD, 0);
    }
}
