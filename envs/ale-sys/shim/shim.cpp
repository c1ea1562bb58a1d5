// A C face for the Arcade Learning Environment: no exception crosses it. The caller (emulator.rs)
// checks what would make ALE exit: ROM file, actions, a ROM being loaded.

#include <cstdint>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <vector>

#include "ale/ale_interface.hpp"
#include "ale/common/ColourPalette.hpp"
#include "saved_state.hpp"

using namespace ale;

namespace {

thread_local std::string last_error;

/** Runs `body`; on an exception keeps its text and answers -1, otherwise what `body` answers. */
template <typename Body>
int64_t guarded(Body body) {
  try {
    return body();
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (const char* text) {
    last_error = text;
  } catch (...) {
    last_error = "unknown exception";
  }
  return -1;
}

template <typename Number>
int64_t copy_list(const std::vector<Number>& list, uint32_t* out, uint64_t capacity) {
  for (size_t i = 0; i < list.size() && i < capacity; i++) out[i] = static_cast<uint32_t>(list[i]);
  return static_cast<int64_t>(list.size());
}

}  // namespace

extern "C" {

struct PliantAleStatus {
  int32_t lives;
  int32_t terminal;
  int32_t truncated;
  int32_t height;
  int32_t width;
};

const char* pliant_ale_error() { return last_error.c_str(); }

ALEInterface* pliant_ale_new() {
  ALEInterface* made = nullptr;
  guarded([&] {
    static std::once_flag quiet;
    std::call_once(quiet, [] { Logger::setMode(Logger::Error); });
    made = new ALEInterface();
    return 0;
  });
  return made;
}

void pliant_ale_delete(ALEInterface* ale) {
  guarded([&] { delete ale; return 0; });
}

int64_t pliant_ale_load(ALEInterface* ale, const char* rom, int32_t random_seed,
                        float repeat_action_probability, int32_t max_num_frames_per_episode) {
  return guarded([&] {
    ale->setInt("random_seed", random_seed);
    ale->setFloat("repeat_action_probability", repeat_action_probability);
    ale->setInt("max_num_frames_per_episode", max_num_frames_per_episode);
    ale->loadROM(rom);
    return 0;
  });
}

/** `which`: 0 minimal actions, 1 all actions, 2 modes, 3 difficulties. Answers how many there are. */
int64_t pliant_ale_list(ALEInterface* ale, int32_t which, uint32_t* out, uint64_t capacity) {
  return guarded([&]() -> int64_t {
    switch (which) {
      case 0: return copy_list(ale->getMinimalActionSet(), out, capacity);
      case 1: return copy_list(ale->getLegalActionSet(), out, capacity);
      case 2: return copy_list(ale->getAvailableModes(), out, capacity);
      default: return copy_list(ale->getAvailableDifficulties(), out, capacity);
    }
  });
}

int64_t pliant_ale_set_mode(ALEInterface* ale, uint32_t mode) {
  return guarded([&] { ale->setMode(mode); return 0; });
}

int64_t pliant_ale_set_difficulty(ALEInterface* ale, uint32_t difficulty) {
  return guarded([&] { ale->setDifficulty(difficulty); return 0; });
}

int64_t pliant_ale_reset(ALEInterface* ale) {
  return guarded([&] { ale->reset_game(); return 0; });
}

int64_t pliant_ale_act(ALEInterface* ale, int32_t action, int32_t* reward) {
  return guarded([&] { *reward = ale->act(static_cast<Action>(action)); return 0; });
}

int64_t pliant_ale_status(ALEInterface* ale, PliantAleStatus* status) {
  return guarded([&] {
    const ALEScreen& screen = ale->getScreen();
    *status = {ale->lives(), ale->game_over(false), ale->game_truncated(),
               static_cast<int32_t>(screen.height()), static_cast<int32_t>(screen.width())};
    return 0;
  });
}

/** The screen's palette indices, height x width bytes that change with the next frame. */
const uint8_t* pliant_ale_screen(ALEInterface* ale) { return ale->getScreen().getArray(); }

/** Writes the grey of each of the 256 palette indices. */
int64_t pliant_ale_greys(ALEInterface* ale, uint8_t* out) {
  return guarded([&] {
    uint8_t indices[255];
    for (int index = 0; index < 255; index++) indices[index] = static_cast<uint8_t>(index);
    // Not index 255, which no screen has: the ALE would look beyond its table's end.
    ale->theOSystem->colourPalette().applyPaletteGrayscale(out, indices, 255);
    out[255] = 0;
    return 0;
  });
}

/** Writes height x width x 3 bytes. */
int64_t pliant_ale_screen_rgb(ALEInterface* ale, uint8_t* out) {
  return guarded([&] {
    const ALEScreen& screen = ale->getScreen();
    ale->theOSystem->colourPalette().applyPaletteRGB(out, screen.getArray(), screen.arraySize());
    return 0;
  });
}

/** Hands the state's bytes to `sink`. */
int64_t pliant_ale_save(ALEInterface* ale, void (*sink)(void*, const uint8_t*, uint64_t), void* context) {
  return guarded([&] {
    const std::string bytes = pliant::save_state(*ale);
    sink(context, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    return 0;
  });
}

int64_t pliant_ale_restore(ALEInterface* ale, const uint8_t* bytes, uint64_t length) {
  return guarded([&] {
    pliant::restore_state(*ale, std::string(reinterpret_cast<const char*>(bytes), length));
    return 0;
  });
}

}  // extern "C"
