#include "files.h"

#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* Length of FILE in FILE:/GROUP; all of it if there is no group. */
static int file_length(const char *text)
{
    const char *found = NULL;
    for (const char *at = text; (at = strstr(at, ":/")); at++) found = at;
    return found ? (int)(found - text) : (int)strlen(text);
}

cli_file cli_file_of_array(const char *name, const char *array)
{
    return (cli_file){name, array && array[file_length(array)] ? array : NULL};
}

static bool is_same_entry(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Files that do not exist yet are the same if they have one name in one directory. */
static bool is_same_file(char *a, char *b)
{
    struct stat in_a, in_b;
    if (!strcmp(a, b)) return true;
    const bool has_a = stat(a, &in_a) == 0, has_b = stat(b, &in_b) == 0;
    if (has_a || has_b) return has_a && has_b && is_same_entry(&in_a, &in_b);
    char path[PATH_MAX];
    strcpy(path, a);
    bool same = stat(dirname(path), &in_a) == 0;
    strcpy(path, b);
    same = same && stat(dirname(path), &in_b) == 0;
    return same && is_same_entry(&in_a, &in_b) && !strcmp(basename(a), basename(b));
}

static int refuse(const cli_command *command, const cli_file *a, const cli_file *b)
{
    if (!strcmp(a->path, b->path))
        return cli_usage_error(command, "%s and %s are both '%s', which would be replaced: give another name",
                               a->name, b->name, a->path);
    return cli_usage_error(
        command, "%s '%s' and %s '%s' are the same file, which would be replaced: give another name", a->name,
        a->path, b->name, b->path);
}

int cli_check_files(const cli_command *command, const cli_file *files, int n_files, int n_inputs)
{
    for (int output = n_inputs; output < n_files; output++) {
        for (int i = 0; i < output; i++) {
            const cli_file *a = &files[i], *b = &files[output];
            char paths[2][PATH_MAX];
            if (!a->path || !b->path) continue;
            const int length = i < n_inputs ? file_length(a->path) : (int)strlen(a->path);
            /* Paths too long for the system are refused when they are opened. */
            if (length >= PATH_MAX || strlen(b->path) >= PATH_MAX) continue;
            sprintf(paths[0], "%.*s", length, a->path);
            strcpy(paths[1], b->path);
            if (is_same_file(paths[0], paths[1])) return refuse(command, a, b);
        }
    }
    return -1;
}
