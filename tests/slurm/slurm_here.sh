#!/bin/bash
# A Slurm of one node on this machine's loopback, without accounting: slurm_here.sh start FOLDER | stop FOLDER. As root.
# Needs: apt-get install --no-install-recommends slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge
# Then: export SLURM_CONF=FOLDER/slurm.conf
set -eu
folder=$(mkdir -p "$2" && realpath "$2") host=$(hostname -s)
cd "$folder"
export SLURM_CONF=$folder/slurm.conf
if [ "$1" = stop ]; then
    for name in slurmd slurmctld munged; do
        if [ -f $name.pid_started ]; then kill "$(cat $name.pid_started)" 2>/dev/null || true; rm $name.pid_started; fi
    done
    exit 0
fi
launch() { local name=$1; shift; setsid "$@" >"$name.out" 2>&1 & echo $! >"$name.pid_started"; }
wait_for() { for _ in $(seq 60); do "$@" >/dev/null 2>&1 && return; sleep 0.5; done; echo "does not work: $*" >&2; exit 1; }
mkdir -p state spool
(umask 077; head -c 1024 /dev/urandom >munge.key)
cat >slurm.conf <<END
ClusterName=tests
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16827
SlurmdPort=16828
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=bf_interval=5,sched_min_interval=500000
AccountingStorageType=accounting_storage/none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
KillWait=5
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 State=UNKNOWN
PartitionName=normal Nodes=$host Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=10
PartitionName=urgent Nodes=$host MaxTime=INFINITE PriorityTier=10
END
launch munged munged --foreground --force --key-file=$folder/munge.key --socket=$folder/munge.socket \
    --pid-file=$folder/munged.pid --log-file=$folder/munged.log --seed-file=$folder/munge.seed
launch slurmctld slurmctld -D -c
wait_for sinfo
launch slurmd slurmd -D -N "$host"
wait_for srun --mem=50 true
