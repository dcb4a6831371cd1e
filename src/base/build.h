/* Which build of lockstep this is. */
#ifndef LS_BASE_BUILD_H
#define LS_BASE_BUILD_H

/* The linker's build id of the program or library that holds this code, as hexadecimal digits: equal for
 * equal contents, whatever the file is called. "unknown" if it was linked without one. Local. */
const char *ls_build_id(void);

#endif
