/* Files read as a whole, so that the bytes checked and the bytes used are the same. */
#ifndef LS_MODEL_WHOLE_FILE_H
#define LS_MODEL_WHOLE_FILE_H

#include <stddef.h>

#include "base/fail.h"

/* Reads the regular file at path. *bytes is the caller's, to free by ls_free. LS_E_INPUT with the path and
 * the system's reason; LS_E_MEMORY for a file larger than the machine's memory. Local. */
ls_status ls_whole_file_read(const char *path, void **bytes, size_t *size);

#endif
