# The simulator as tests. Budgets are seconds of processor time, so that a busy machine runs fewer seeds, not into a timeout.
set(SWARM_SIM_SEEDS 1000 CACHE STRING "fresh seeds per test run")
set(SWARM_SIM_BUDGET 20 CACHE STRING "processor seconds for fresh seeds")
set(SWARM_SIM_BUG_SEEDS 2000 CACHE STRING "a planted bug must be found within this many seeds")
set(SWARM_SIM_MENDED 392522453 7005496 7007630 20003851) # seeds that failed once
set(SWARM_SIM_CLUSTER_MENDED 788 849603472 2917320365 2917322868 3215342765 3937183856 3937185476 3937193888 5000018165
                              6000007203 6000017986)

function(swarm_sim_test name timeout)
  add_test(NAME ${name} COMMAND swarm-sim ${ARGN})
  set_tests_properties(${name} PROPERTIES LABELS "sim;nocaf" TIMEOUT ${timeout})
endfunction()

# Fresh seeds find what nobody has looked for; a failing one is in the output and repeats with --seed.
swarm_sim_test(sim_raft_fresh_seeds 600 raft --seed fresh --seeds ${SWARM_SIM_SEEDS} --budget ${SWARM_SIM_BUDGET})
swarm_sim_test(sim_raft_known_seeds 600 raft --seed 1 --seeds 150 --budget 20)
foreach(seed IN LISTS SWARM_SIM_MENDED)
  swarm_sim_test(sim_raft_mended_${seed} 60 raft --seed ${seed})
endforeach()
swarm_sim_test(sim_raft_replay 600 raft --seed 1 --seeds 10 --lite --twice)
swarm_sim_test(sim_raft_planted_bugs 600 raft --find-bugs --max-seeds ${SWARM_SIM_BUG_SEEDS})

swarm_sim_test(sim_cluster_fresh_seeds 600 cluster --seed fresh --seeds 300 --budget ${SWARM_SIM_BUDGET})
swarm_sim_test(sim_cluster_known_seeds 600 cluster --seed 1 --seeds 200 --budget 20)
foreach(seed IN LISTS SWARM_SIM_CLUSTER_MENDED)
  swarm_sim_test(sim_cluster_mended_${seed} 60 cluster --seed ${seed})
endforeach()
swarm_sim_test(sim_cluster_replay 600 cluster --seed 1 --seeds 10 --lite --twice)
swarm_sim_test(sim_cluster_planted_bugs 600 cluster --find-bugs --max-seeds ${SWARM_SIM_BUG_SEEDS})

# 40 seeds are every moment of every scenario with every way of losing the leader.
swarm_sim_test(sim_scenarios 600 scenario --seed 1 --seeds 40)
swarm_sim_test(sim_scenario_fresh_seeds 600 scenario --seed fresh --seeds 40 --budget 5)
swarm_sim_test(sim_scenario_replay 600 scenario --seed 7 --seeds 2 --twice)
swarm_sim_test(sim_scenario_planted_bugs 600 scenario --find-bugs --max-seeds 40)

# One thread, and long: nothing for the thread sanitizer.
set_tests_properties(sim_raft_planted_bugs sim_cluster_planted_bugs sim_scenario_planted_bugs PROPERTIES LABELS sim)

add_test(NAME sim_check_history COMMAND sh -c "$<TARGET_FILE:swarm-sim> check-history '${CMAKE_CURRENT_SOURCE_DIR}/support/testdata/histories.json'; test $? -eq 1")
set_tests_properties(sim_check_history PROPERTIES LABELS "sim;nocaf" TIMEOUT 60)
