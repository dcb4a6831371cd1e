/* The little that every module with HDF5 calls needs. */
#ifndef LS_DATA_HDF5_SUPPORT_H
#define LS_DATA_HDF5_SUPPORT_H

#include <hdf5.h>

#include "base/fail.h"
#include "base/fault.h"

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

#ifdef LOCKSTEP_FAULTS
/* Every call of these fails when a test's plan says so. */
#define H5Acreate2(...)          LS_FALLIBLE(LS_FAULT_HDF5, H5Acreate2(__VA_ARGS__))
#define H5Aexists(...)           LS_FALLIBLE(LS_FAULT_HDF5, H5Aexists(__VA_ARGS__))
#define H5Aget_space(...)        LS_FALLIBLE(LS_FAULT_HDF5, H5Aget_space(__VA_ARGS__))
#define H5Aget_type(...)         LS_FALLIBLE(LS_FAULT_HDF5, H5Aget_type(__VA_ARGS__))
#define H5Aopen(...)             LS_FALLIBLE(LS_FAULT_HDF5, H5Aopen(__VA_ARGS__))
#define H5Aread(...)             LS_FALLIBLE(LS_FAULT_HDF5, H5Aread(__VA_ARGS__))
#define H5Awrite(...)            LS_FALLIBLE(LS_FAULT_HDF5, H5Awrite(__VA_ARGS__))
#define H5Dcreate2(...)          LS_FALLIBLE(LS_FAULT_HDF5, H5Dcreate2(__VA_ARGS__))
#define H5Dget_create_plist(...) LS_FALLIBLE(LS_FAULT_HDF5, H5Dget_create_plist(__VA_ARGS__))
#define H5Dget_space(...)        LS_FALLIBLE(LS_FAULT_HDF5, H5Dget_space(__VA_ARGS__))
#define H5Dget_type(...)         LS_FALLIBLE(LS_FAULT_HDF5, H5Dget_type(__VA_ARGS__))
#define H5Dopen2(...)            LS_FALLIBLE(LS_FAULT_HDF5, H5Dopen2(__VA_ARGS__))
#define H5Dread(...)             LS_FALLIBLE(LS_FAULT_HDF5, H5Dread(__VA_ARGS__))
#define H5Dwrite(...)            LS_FALLIBLE(LS_FAULT_HDF5, H5Dwrite(__VA_ARGS__))
#define H5Fcreate(...)           LS_FALLIBLE(LS_FAULT_HDF5, H5Fcreate(__VA_ARGS__))
#define H5Fflush(...)            LS_FALLIBLE(LS_FAULT_HDF5, H5Fflush(__VA_ARGS__))
#define H5Fget_access_plist(...) LS_FALLIBLE(LS_FAULT_HDF5, H5Fget_access_plist(__VA_ARGS__))
#define H5Fget_file_image(...)   LS_FALLIBLE(LS_FAULT_HDF5, H5Fget_file_image(__VA_ARGS__))
#define H5Fget_vfd_handle(...)   LS_FALLIBLE(LS_FAULT_HDF5, H5Fget_vfd_handle(__VA_ARGS__))
#define H5Fopen(...)             LS_FALLIBLE(LS_FAULT_HDF5, H5Fopen(__VA_ARGS__))
#define H5Gcreate2(...)          LS_FALLIBLE(LS_FAULT_HDF5, H5Gcreate2(__VA_ARGS__))
#define H5Iget_file_id(...)      LS_FALLIBLE(LS_FAULT_HDF5, H5Iget_file_id(__VA_ARGS__))
#define H5Lcreate_hard(...)      LS_FALLIBLE(LS_FAULT_HDF5, H5Lcreate_hard(__VA_ARGS__))
#define H5Lexists(...)           LS_FALLIBLE(LS_FAULT_HDF5, H5Lexists(__VA_ARGS__))
#define H5Oexists_by_name(...)   LS_FALLIBLE(LS_FAULT_HDF5, H5Oexists_by_name(__VA_ARGS__))
#define H5Oopen(...)             LS_FALLIBLE(LS_FAULT_HDF5, H5Oopen(__VA_ARGS__))
#define H5Pcreate(...)           LS_FALLIBLE(LS_FAULT_HDF5, H5Pcreate(__VA_ARGS__))
#define H5Pget_chunk(...)        LS_FALLIBLE(LS_FAULT_HDF5, H5Pget_chunk(__VA_ARGS__))
#define H5Pset_alignment(...)    LS_FALLIBLE(LS_FAULT_HDF5, H5Pset_alignment(__VA_ARGS__))
#define H5Pset_alloc_time(...)   LS_FALLIBLE(LS_FAULT_HDF5, H5Pset_alloc_time(__VA_ARGS__))
#define H5Pset_create_intermediate_group(...)                                                                \
    LS_FALLIBLE(LS_FAULT_HDF5, H5Pset_create_intermediate_group(__VA_ARGS__))
#define H5Pset_fapl_core(...)           LS_FALLIBLE(LS_FAULT_HDF5, H5Pset_fapl_core(__VA_ARGS__))
#define H5Pset_fapl_stdio(...)          LS_FALLIBLE(LS_FAULT_HDF5, H5Pset_fapl_stdio(__VA_ARGS__))
#define H5Pset_file_image(...)          LS_FALLIBLE(LS_FAULT_HDF5, H5Pset_file_image(__VA_ARGS__))
#define H5Pset_fill_time(...)           LS_FALLIBLE(LS_FAULT_HDF5, H5Pset_fill_time(__VA_ARGS__))
#define H5Pset_layout(...)              LS_FALLIBLE(LS_FAULT_HDF5, H5Pset_layout(__VA_ARGS__))
#define H5Pset_obj_track_times(...)     LS_FALLIBLE(LS_FAULT_HDF5, H5Pset_obj_track_times(__VA_ARGS__))
#define H5Pset_userblock(...)           LS_FALLIBLE(LS_FAULT_HDF5, H5Pset_userblock(__VA_ARGS__))
#define H5Screate(...)                  LS_FALLIBLE(LS_FAULT_HDF5, H5Screate(__VA_ARGS__))
#define H5Screate_simple(...)           LS_FALLIBLE(LS_FAULT_HDF5, H5Screate_simple(__VA_ARGS__))
#define H5Sget_simple_extent_dims(...)  LS_FALLIBLE(LS_FAULT_HDF5, H5Sget_simple_extent_dims(__VA_ARGS__))
#define H5Sget_simple_extent_ndims(...) LS_FALLIBLE(LS_FAULT_HDF5, H5Sget_simple_extent_ndims(__VA_ARGS__))
#define H5Sget_simple_extent_npoints(...)                                                                    \
    LS_FALLIBLE(LS_FAULT_HDF5, H5Sget_simple_extent_npoints(__VA_ARGS__))
#define H5Sselect_hyperslab(...) LS_FALLIBLE(LS_FAULT_HDF5, H5Sselect_hyperslab(__VA_ARGS__))
#define H5Tarray_create2(...)    LS_FALLIBLE(LS_FAULT_HDF5, H5Tarray_create2(__VA_ARGS__))
#define H5Tcopy(...)             LS_FALLIBLE(LS_FAULT_HDF5, H5Tcopy(__VA_ARGS__))
#define H5Tcreate(...)           LS_FALLIBLE(LS_FAULT_HDF5, H5Tcreate(__VA_ARGS__))
#define H5Tequal(...)            LS_FALLIBLE(LS_FAULT_HDF5, H5Tequal(__VA_ARGS__))
#define H5Tget_array_dims2(...)  LS_FALLIBLE(LS_FAULT_HDF5, H5Tget_array_dims2(__VA_ARGS__))
#define H5Tget_member_type(...)  LS_FALLIBLE(LS_FAULT_HDF5, H5Tget_member_type(__VA_ARGS__))
#define H5Tget_super(...)        LS_FALLIBLE(LS_FAULT_HDF5, H5Tget_super(__VA_ARGS__))
#define H5Tinsert(...)           LS_FALLIBLE(LS_FAULT_HDF5, H5Tinsert(__VA_ARGS__))
#define H5Tset_cset(...)         LS_FALLIBLE(LS_FAULT_HDF5, H5Tset_cset(__VA_ARGS__))
#define H5Tset_size(...)         LS_FALLIBLE(LS_FAULT_HDF5, H5Tset_size(__VA_ARGS__))
#define H5Fclose(...)            LS_FALLIBLE_AFTER(LS_FAULT_HDF5, H5Fclose(__VA_ARGS__))
#endif

#endif
