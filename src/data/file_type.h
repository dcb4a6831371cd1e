/* The types of arrays in the files that we write. */
#ifndef LS_DATA_FILE_TYPE_H
#define LS_DATA_FILE_TYPE_H

typedef enum ls_file_type { LS_FILE_FLOAT32, LS_FILE_FLOAT64, LS_FILE_UINT8, LS_FILE_INT64 } ls_file_type;

#endif
