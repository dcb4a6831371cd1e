#include "data/dataset_source.h"

#include <stdio.h>
#include <string.h>

/* The colon of FILE:/PATH, the last one as a directory's name may end with a colon too; NULL if there is
 * none. */
static const char *find_separator(const char *text)
{
    const char *found = NULL;
    for (const char *at = text; (at = strstr(at, ":/")); at++) found = at;
    return found;
}

static ls_status copy(char *target, size_t size, const char *text, size_t length, const char *what)
{
    if (length >= size)
        return ls_fail(LS_E_USAGE, "%.60s...: the %s has %zu characters: at most %zu are supported", text,
                       what, length, size - 1);
    memcpy(target, text, length);
    target[length] = 0;
    return LS_OK;
}

/* Absolute path of an array: as given, or inside the group and set of the source. */
static ls_status join(ls_dataset_place *place, const char *group, const char *set, const char *array)
{
    int length;
    if (array[0] == '/')
        length = snprintf(place->path, sizeof place->path, "%s", array);
    else
        length = snprintf(place->path, sizeof place->path, "%s%s%s/%s", group, set ? "/" : "", set ? set : "",
                          array);
    if (length >= (int)sizeof place->path)
        return ls_fail(LS_E_USAGE,
                       "%.60s...: the path in the file has %d characters: at most %zu are supported",
                       place->path, length, sizeof place->path - 1);
    return LS_OK;
}

static ls_status split_field(ls_dataset_place *place)
{
    char *last = strrchr(place->path, '/');
    char *colon = strchr(last ? last : place->path, ':');
    place->field[0] = 0;
    if (!colon) return LS_OK;
    if (colon[1] == 0 || colon == last + 1)
        return ls_fail(LS_E_USAGE, "%s: an array of a table is named /PATH:FIELD", place->path);
    *colon = 0;
    return copy(place->field, sizeof place->field, colon + 1, strlen(colon + 1), "field");
}

/* array: what the user wrote, or NULL for standard, the name in a set. */
static ls_status find_place(const ls_dataset_source *source, const char *array, const char *standard,
                            const char *other_file, ls_dataset_place *place)
{
    char group[LS_PLACE_PATH_SIZE] = "";
    place->file[0] = 0;
    if (source->file) {
        const char *separator = find_separator(source->file);
        const size_t length = separator ? (size_t)(separator - source->file) : strlen(source->file);
        LS_TRY(copy(place->file, sizeof place->file, source->file, length, "file name"));
        if (separator) {
            size_t end = strlen(separator + 1);
            while (end > 0 && separator[end] == '/') end--; /* "/" and "/a/" are the groups "" and "/a" */
            LS_TRY(copy(group, sizeof group, separator + 1, end, "group"));
        }
    } else if (other_file) {
        LS_TRY(copy(place->file, sizeof place->file, other_file, strlen(other_file), "file name"));
    }
    const char *separator = array ? find_separator(array) : NULL;
    if (separator) {
        LS_TRY(copy(place->file, sizeof place->file, array, (size_t)(separator - array), "file name"));
        array = separator + 1;
    }
    if (place->file[0] == 0)
        return ls_fail(LS_E_USAGE, "%s: no file is named: write FILE:/PATH", array ? array : standard);
    LS_TRY(join(place, group, source->set, array ? array : standard));
    if (array)
        LS_TRY(split_field(place));
    else
        place->field[0] = 0;
    snprintf(place->name, sizeof place->name, "%s:%s%s%s", place->file, place->path,
             place->field[0] ? ":" : "", place->field);
    return LS_OK;
}

ls_status ls_dataset_place_of_x(const ls_dataset_source *source, ls_dataset_place *place)
{
    return find_place(source, source->x, "X", NULL, place);
}

ls_status ls_dataset_place_of_y(const ls_dataset_source *source, ls_dataset_place *place)
{
    ls_dataset_place x;
    LS_TRY(find_place(source, source->x, "X", NULL, &x));
    return find_place(source, source->y, "y", x.file, place);
}

ls_status ls_dataset_place_of_weights(const ls_dataset_source *source, ls_dataset_place *place)
{
    ls_dataset_place x;
    LS_TRY(find_place(source, source->x, "X", NULL, &x));
    return find_place(source, source->sample_weight, "sample_weight", x.file, place);
}
