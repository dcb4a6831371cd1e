/* Where data lie, as users write it: FILE:/GROUP, --x and --y. One line each of the input: file, set, x, y.
 */
#include <string.h>

#include "data/dataset_source.h"
#include "fuzz.h"

static void check_place(ls_status status, const ls_dataset_place *place)
{
    FUZZ_ASSERT_TOLD(status);
    if (status != LS_OK) return;
    FUZZ_ASSERT(place->file[0] && strlen(place->file) < sizeof place->file);
    FUZZ_ASSERT(place->path[0] == '/' && strlen(place->path) < sizeof place->path);
    FUZZ_ASSERT(strlen(place->field) < sizeof place->field);
    FUZZ_ASSERT(strncmp(place->name, place->file, strlen(place->file)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), *rest = text;
    const char *lines[4] = {NULL};
    for (int i = 0; i < 4 && rest; i++) lines[i] = strsep(&rest, "\n");
    /* An empty line is nothing given, but for the file's name. */
    for (int i = 1; i < 4; i++)
        if (lines[i] && !lines[i][0]) lines[i] = NULL;
    for (int with_file = 0; with_file < 2; with_file++) {
        const ls_dataset_source source = {
            .file = with_file ? lines[0] : NULL, .set = lines[1], .x = lines[2], .y = lines[3]};
        ls_dataset_place place;
        check_place(ls_dataset_place_of_x(&source, &place), &place);
        check_place(ls_dataset_place_of_y(&source, &place), &place);
    }
    free(text);
    return 0;
}
