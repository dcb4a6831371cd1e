/* The little that every module with HDF5 calls needs. */
#ifndef LS_DATA_HDF5_SUPPORT_H
#define LS_DATA_HDF5_SUPPORT_H

#include <hdf5.h>

#include "base/fail.h"

/* Call at every entry point, before the first HDF5 call: no error stacks on stderr, and no file locks (they
 * fail on parallel file systems) unless the user set HDF5_USE_FILE_LOCKING. Cheap. Local. */
void ls_hdf5_begin(void);

/* HDF5's own reason for the newest failed call in this thread, innermost level, on one line and bounded;
 * "no reason given" if there is none. Valid until the next call. Local. */
const char *ls_hdf5_reason(void);

/* Close functions that take the invalid handles (< 0) of an early return. Local. */
void ls_hdf5_close_file(hid_t file);
void ls_hdf5_close_dataset(hid_t dataset);
void ls_hdf5_close_space(hid_t space);
void ls_hdf5_close_type(hid_t type);
void ls_hdf5_close_list(hid_t property_list);

#endif
