/* Model files on disk, one process alone; the collective half is in lockstep/model.h. */
#ifndef LS_MODEL_MODEL_FILE_H
#define LS_MODEL_MODEL_FILE_H

#include "model/model.h"

/* ls_model_load of one process. Local. The caller frees *model. */
ls_status ls_model_file_read(const char *path, ls_model **model, ls_training_config *config);

/* ls_model_save of one process. Local. */
ls_status ls_model_file_write(const ls_model *model, const ls_training_config *config, const char *path);

#endif
