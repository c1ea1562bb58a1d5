// The whole state of a running game as bytes.
//
// ALE's own cloneState leaves out what decides the next frames all the same: the action that sticky
// actions repeat, both frame buffers (a frame that is not drawn to its end shows the one before the
// last), the TIA's pointers into its mask tables, the data bus, and some games' flags. They are
// private; the C++ standard lets an explicit template instantiation name them (temp.spec.general/6).

#ifndef PLIANT_SAVED_STATE_HPP
#define PLIANT_SAVED_STATE_HPP

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "ale/ale_interface.hpp"
#include "ale/emucore/Console.hxx"
#include "ale/emucore/System.hxx"
#include "ale/emucore/TIA.hxx"
#include "ale/games/supported/Atlantis2.hpp"
#include "ale/games/supported/ChopperCommand.hpp"
#include "ale/games/supported/DemonAttack.hpp"
#include "ale/games/supported/MiniatureGolf.hpp"
#include "ale/games/supported/VideoCheckers.hpp"

namespace pliant {

using ale::ALEInterface;
using ale::stella::System;
using ale::stella::TIA;

// reveal(Tag{}) is the pointer to the member that REVEAL named.
template <typename Tag, typename Tag::type Member>
struct Revealed {
  friend typename Tag::type reveal(Tag) { return Member; }
};
#define REVEAL(Tag, Pointer, Member)               \
  struct Tag {                                     \
    using type = Pointer;                          \
    friend type reveal(Tag);                       \
  };                                               \
  template struct Revealed<Tag, &Member>

REVEAL(ActionA, ale::Action ale::StellaEnvironment::*, ale::StellaEnvironment::m_player_a_action);
REVEAL(ActionB, ale::Action ale::StellaEnvironment::*, ale::StellaEnvironment::m_player_b_action);
REVEAL(StrengthA, float ale::StellaEnvironment::*, ale::StellaEnvironment::m_paddle_a_strength);
REVEAL(StrengthB, float ale::StellaEnvironment::*, ale::StellaEnvironment::m_paddle_b_strength);
REVEAL(DataBus, uint8_t System::*, System::myDataBusState);
REVEAL(PartialFrame, bool TIA::*, TIA::myPartialFrameFlag);
REVEAL(FrameGreyed, bool TIA::*, TIA::myFrameGreyed);
REVEAL(FramePointer, uint8_t* TIA::*, TIA::myFramePointer);
REVEAL(BallMask, const uint8_t* TIA::*, TIA::myCurrentBLMask);
REVEAL(Missile0Mask, const uint8_t* TIA::*, TIA::myCurrentM0Mask);
REVEAL(Missile1Mask, const uint8_t* TIA::*, TIA::myCurrentM1Mask);
REVEAL(Player0Mask, const uint8_t* TIA::*, TIA::myCurrentP0Mask);
REVEAL(Player1Mask, const uint8_t* TIA::*, TIA::myCurrentP1Mask);
REVEAL(PlayfieldMask, const uint32_t* TIA::*, TIA::myCurrentPFMask);
REVEAL(BallTable, uint8_t (*)[4][4][320], TIA::ourBallMaskTable);
REVEAL(MissileTable, uint8_t (*)[4][8][4][320], TIA::ourMissleMaskTable);
REVEAL(PlayerTable, uint8_t (*)[4][2][8][320], TIA::ourPlayerMaskTable);
REVEAL(PlayfieldTable, uint32_t (*)[2][160], TIA::ourPlayfieldTable);
REVEAL(DisabledTable, const uint8_t (*)[640], TIA::ourDisabledMaskTable);
REVEAL(AtlantisLives, int ale::Atlantis2Settings::*, ale::Atlantis2Settings::m_lives);
REVEAL(ChopperStarted, bool ale::ChopperCommandSettings::*, ale::ChopperCommandSettings::m_is_started);
REVEAL(DemonLevel, bool ale::DemonAttackSettings::*, ale::DemonAttackSettings::m_level_change);
REVEAL(CheckersReverse, bool ale::VideoCheckersSettings::*, ale::VideoCheckersSettings::m_reverse_checkers);
REVEAL(GolfLevel, int ale::MiniatureGolfSettings::*, ale::MiniatureGolfSettings::m_levelNumber);
REVEAL(GolfPar, int ale::MiniatureGolfSettings::*, ale::MiniatureGolfSettings::m_levelPar);
REVEAL(GolfHits, int ale::MiniatureGolfSettings::*, ale::MiniatureGolfSettings::m_hits);
REVEAL(GolfStatus, int ale::MiniatureGolfSettings::*, ale::MiniatureGolfSettings::m_leftStatus);
REVEAL(GolfStart, int ale::MiniatureGolfSettings::*, ale::MiniatureGolfSettings::m_hitsAtStartOfLevel);
#undef REVEAL

/** Bytes of one TIA frame buffer (TIA.cxx allocates 160 x 300). */
constexpr size_t FRAME_BUFFER = 160 * 300;

/** Writes or reads the same fields in the same order, so the two cannot drift apart. */
class Archive {
 public:
  static Archive writer() { return Archive(std::string(), true); }
  static Archive reader(std::string bytes) { return Archive(std::move(bytes), false); }

  template <typename Value>
  void value(Value& field) {
    static_assert(std::is_trivially_copyable_v<Value>);
    raw(reinterpret_cast<char*>(&field), sizeof(field));
  }

  void text(std::string& field) {
    uint64_t length = field.size();
    value(length);
    if (!m_writing) {
      require(length);
      field.resize(length);
    }
    raw(field.data(), length);
  }

  void raw(char* data, size_t length) {
    if (m_writing) {
      m_bytes.append(data, length);
    } else {
      require(length);
      std::memcpy(data, m_bytes.data() + m_at, length);
      m_at += length;
    }
  }

  /** A pointer into one of two tables, as which table and how far in. */
  template <typename Entry>
  void pointer(const Entry*& field, const void* table, size_t bytes, const void* other, size_t other_bytes) {
    const char* bases[2] = {static_cast<const char*>(table), static_cast<const char*>(other)};
    const size_t sizes[2] = {bytes, other_bytes};
    const char* at = reinterpret_cast<const char*>(field);
    uint32_t which = (at >= bases[0] && at < bases[0] + sizes[0]) ? 0 : 1;
    uint64_t offset = at - bases[which];
    value(which);
    value(offset);
    if (which > 1 || offset >= sizes[which]) throw std::runtime_error("a pointer is outside its table");
    field = reinterpret_cast<const Entry*>(bases[which] + offset);
  }

  bool writing() const { return m_writing; }
  bool finished() const { return m_at == m_bytes.size(); }
  std::string take() { return std::move(m_bytes); }

 private:
  Archive(std::string bytes, bool writing) : m_bytes(std::move(bytes)), m_writing(writing) {}

  void require(size_t length) const {
    if (length > m_bytes.size() - m_at) throw std::runtime_error("the state ends too early");
  }

  std::string m_bytes;
  size_t m_at = 0;
  bool m_writing;
};

/** What sticky actions repeat. */
inline void archive_actions(Archive& archive, ale::StellaEnvironment& environment) {
  archive.value(environment.*reveal(ActionA{}));
  archive.value(environment.*reveal(ActionB{}));
  archive.value(environment.*reveal(StrengthA{}));
  archive.value(environment.*reveal(StrengthB{}));
}

inline void archive_masks(Archive& archive, TIA& tia) {
  const auto* disabled = reveal(DisabledTable{});
  const size_t rest = sizeof(*disabled);
  const auto* ball = reveal(BallTable{});
  const auto* missile = reveal(MissileTable{});
  const auto* player = reveal(PlayerTable{});
  const auto* playfield = reveal(PlayfieldTable{});
  archive.pointer(tia.*reveal(BallMask{}), ball, sizeof(*ball), disabled, rest);
  archive.pointer(tia.*reveal(Missile0Mask{}), missile, sizeof(*missile), disabled, rest);
  archive.pointer(tia.*reveal(Missile1Mask{}), missile, sizeof(*missile), disabled, rest);
  archive.pointer(tia.*reveal(Player0Mask{}), player, sizeof(*player), disabled, rest);
  archive.pointer(tia.*reveal(Player1Mask{}), player, sizeof(*player), disabled, rest);
  archive.pointer(tia.*reveal(PlayfieldMask{}), playfield, sizeof(*playfield), disabled, rest);
}

inline void archive_picture(Archive& archive, TIA& tia) {
  archive.raw(reinterpret_cast<char*>(tia.currentFrameBuffer()), FRAME_BUFFER);
  archive.raw(reinterpret_cast<char*>(tia.previousFrameBuffer()), FRAME_BUFFER);
  archive.value(tia.*reveal(PartialFrame{}));
  archive.value(tia.*reveal(FrameGreyed{}));
  int64_t drawn = tia.*reveal(FramePointer{}) - tia.currentFrameBuffer();
  archive.value(drawn);
  if (drawn < 0 || drawn > int64_t(FRAME_BUFFER)) throw std::runtime_error("the beam is outside the frame");
  tia.*reveal(FramePointer{}) = tia.currentFrameBuffer() + drawn;
}

inline void archive_golf(Archive& archive, ale::MiniatureGolfSettings& game) {
  for (auto member : {reveal(GolfLevel{}), reveal(GolfPar{}), reveal(GolfHits{}), reveal(GolfStatus{}), reveal(GolfStart{})})
    archive.value(game.*member);
}

/** Members of the games' settings that their own saveState leaves out, or (golf) saves as booleans. */
inline void archive_game(Archive& archive, ale::RomSettings* settings) {
  if (auto* game = dynamic_cast<ale::Atlantis2Settings*>(settings)) archive.value(game->*reveal(AtlantisLives{}));
  if (auto* game = dynamic_cast<ale::ChopperCommandSettings*>(settings)) archive.value(game->*reveal(ChopperStarted{}));
  if (auto* game = dynamic_cast<ale::DemonAttackSettings*>(settings)) archive.value(game->*reveal(DemonLevel{}));
  if (auto* game = dynamic_cast<ale::MiniatureGolfSettings*>(settings)) archive_golf(archive, *game);
  if (auto* game = dynamic_cast<ale::VideoCheckersSettings*>(settings)) archive.value(game->*reveal(CheckersReverse{}));
}

/** Everything cloneState leaves out. */
inline void archive_rest(Archive& archive, ALEInterface& ale) {
  System& system = ale.theOSystem->console().system();
  archive_actions(archive, *ale.environment);
  archive.value(system.*reveal(DataBus{}));
  archive_masks(archive, system.tia());
  archive_picture(archive, system.tia());
  archive_game(archive, ale.romSettings.get());
}

inline std::string save_state(ALEInterface& ale) {
  Archive archive = Archive::writer();
  std::string cloned = ale.cloneState(true).serialize();
  archive.text(cloned);
  archive_rest(archive, ale);
  return archive.take();
}

/** The caller makes sure that `bytes` come from save_state of the same game. */
inline void restore_state(ALEInterface& ale, std::string bytes) {
  Archive archive = Archive::reader(std::move(bytes));
  std::string cloned;
  archive.text(cloned);
  ale.restoreState(ale::ALEState(cloned));
  archive_rest(archive, ale);
  if (!archive.finished()) throw std::runtime_error("the state is too long");
  const ale::ALEScreen& screen = ale.getScreen();
  const TIA& tia = ale.theOSystem->console().system().tia();
  std::memcpy(screen.getArray(), tia.currentFrameBuffer(), screen.arraySize());
}

}  // namespace pliant

#endif
