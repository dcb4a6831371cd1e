#include "base/json_text.h"

#include "base/memory.h"

ls_status ls_json_text(json_t *root, size_t flags, const char *purpose, char **text)
{
    *text = NULL;
    /* Not json_dumps: when its buffer cannot grow, jansson 2.14 may leave a key out and go on. */
    const size_t size = root ? json_dumpb(root, NULL, 0, flags) : 0;
    ls_status status = size > 0 ? ls_alloc(text, size + 1, 1, purpose)
                                : ls_fail(LS_E_MEMORY, "%s: no memory for the JSON text", purpose);
    if (status == LS_OK && json_dumpb(root, *text, size, flags) != size) {
        status = ls_fail(LS_E_MEMORY, "%s: no memory for the JSON text", purpose);
        ls_free(*text);
        *text = NULL;
    }
    json_decref(root);
    return status;
}
