/* The roll call at the start: are these the ranks that the user meant, and are they alike?
 *
 * Comparisons cost one small reduction when all is well; only a difference makes rank 0's text travel. No
 * rank holds anything whose size depends on the number of ranks. The public half is in lockstep/session.h. */
#ifndef LS_COMM_ROLLCALL_H
#define LS_COMM_ROLLCALL_H

#include "comm/comm.h"

/* Whether a world of size ranks is what the launcher started. A launcher of another MPI, or srun without
 * --mpi, makes every process rank 0 of a job of its own, and all of them write the same files. LS_E_USAGE
 * with the remedy. A plain process in a batch script is no such case: SLURM_NTASKS says what the job has been
 * given, only SLURM_STEP_NUM_TASKS what srun has started. Local. */
ls_status ls_roll_call_launcher(int size);

/* Whether all ranks run the same build with the same libraries. Collective. LS_E_DIFFER. */
ls_status ls_roll_call_programs(ls_session *session);

#endif
