#include "data/hdf5_support.h"

#include <stdio.h>
#include <stdlib.h>

void ls_hdf5_begin(void)
{
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 0);
    /* Per thread in a thread-safe build, hence not once per process. */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static herr_t keep_innermost(unsigned level, const H5E_error2_t *error, void *text)
{
    if (level == 0 && error->desc) snprintf(text, LS_MESSAGE_SIZE / 4, "%s", error->desc);
    return 0;
}

const char *ls_hdf5_reason(void)
{
    static _Thread_local char text[LS_MESSAGE_SIZE / 4];
    text[0] = 0;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, text);
    for (char *at = text; *at; at++)
        if (*at == '\n') *at = ' ';
    return text[0] ? text : "no reason given";
}

void ls_hdf5_close_file(hid_t file)
{
    if (file >= 0) H5Fclose(file);
}

void ls_hdf5_close_dataset(hid_t dataset)
{
    if (dataset >= 0) H5Dclose(dataset);
}

void ls_hdf5_close_space(hid_t space)
{
    if (space >= 0) H5Sclose(space);
}

void ls_hdf5_close_type(hid_t type)
{
    if (type >= 0) H5Tclose(type);
}

void ls_hdf5_close_list(hid_t property_list)
{
    if (property_list >= 0) H5Pclose(property_list);
}
