extern "C" int use_pool(void);

int main() { return use_pool(); }
