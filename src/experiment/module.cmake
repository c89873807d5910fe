target_compile_definitions(lowbit_experiment PRIVATE LOWBIT_VERSION="${PROJECT_VERSION}")
