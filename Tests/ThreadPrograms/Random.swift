/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a seed gives the same program each time.
struct Random: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }

  mutating func chance(_ percent: Int) -> Bool { number(0..<100) < percent }

  mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &self) }

  mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

  mutating func pick<Element>(_ elements: [Element]) -> Element {
    guard let element = elements.randomElement(using: &self) else { preconditionFailure("nothing to pick from") }
    return element
  }

  /// One of the choices, each as often as its weight says.
  mutating func pick<Choice>(weighted choices: [(Choice, Int)]) -> Choice? {
    let sum = choices.reduce(0) { $0 + $1.1 }
    guard sum > 0 else { return nil }
    var left = number(0..<sum)
    for (choice, weight) in choices {
      if left < weight { return choice }
      left -= weight
    }
    return nil
  }
}
