/* JSON values as text. */
#ifndef LS_BASE_JSON_TEXT_H
#define LS_BASE_JSON_TEXT_H

#include <jansson.h>

#include "base/fail.h"

/* Turns root, an object or a list, into text by the flags of json_dumps, and drops the reference to it. root
 * may be NULL, as it is when jansson had no memory. The caller frees *text with ls_free. LS_E_MEMORY, naming
 * purpose. Local. */
ls_status ls_json_text(json_t *root, size_t flags, const char *purpose, char **text);

#endif
