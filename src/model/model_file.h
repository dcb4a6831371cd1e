/* Model files on disk, one process alone; the collective half is in lockstep/model.h. */
#ifndef LS_MODEL_MODEL_FILE_H
#define LS_MODEL_MODEL_FILE_H

#include "model/model.h"

/* ls_model_load of one process. *record is the text given to ls_model_file_write, NULL if there is none or
 * the file is not ours; record itself may be NULL. Local. The caller frees *model, and *record with ls_free.
 */
ls_status ls_model_file_read(const char *path, ls_model **model, ls_training_config *config, char **record);

/* ls_model_save of one process, with a text of our own that Keras passes over (NULL for none). Local. */
ls_status ls_model_file_write(const ls_model *model, const ls_training_config *config, const char *record,
                              const char *path);

#endif
