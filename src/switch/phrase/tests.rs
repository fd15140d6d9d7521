//! Phrases are compared as text: that of their prompts in `sounds/prompts.txt`.

use std::collections::HashMap;

use super::*;

/// Texts by language and prompt.
struct Texts(HashMap<(&'static str, &'static str), &'static str>);

impl Texts {
    fn read() -> Self {
        let text = include_str!("../../../sounds/prompts.txt");
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(
            lines
                .map(|line| {
                    let mut parts = line.splitn(3, '|').map(str::trim);
                    let mut next = || parts.next().unwrap();
                    ((next(), next()), next())
                })
                .collect(),
        )
    }

    fn said(&self, language: Language, thing: Spoken) -> String {
        let parts = phrase(language, &[thing]);
        let texts: Vec<&str> = parts
            .iter()
            .map(|part| {
                self.0.get(&(language.code(), part)).copied().unwrap_or_else(|| panic!("{part}"))
            })
            .collect();
        texts.join(if language == Language::English { " " } else { "" })
    }
}

/// Reads English numbers, by the words alone.
fn read_english(text: &str) -> u64 {
    const ONES: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] =
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let (mut total, mut group) = (0, 0);
    for word in text.split(' ') {
        let at = |list: &[&str]| list.iter().position(|known| *known == word).map(|at| at as u64);
        match (word, at(&ONES), at(&TENS)) {
            (_, Some(ones), _) => group += ones,
            (_, _, Some(tens)) => group += 20 + tens * 10,
            ("hundred", ..) => group *= 100,
            _ => {
                total += group
                    * match word {
                        "thousand" => 1_000,
                        "million" => 1_000_000,
                        "billion" => 1_000_000_000,
                        _ => panic!("{word}"),
                    };
                group = 0;
            }
        }
    }
    total + group
}

/// Reads Chinese numbers, by the characters alone.
fn read_chinese(text: &str) -> u64 {
    let (mut total, mut group, mut digit) = (0, 0, None);
    for sign in text.chars() {
        if let Some(known) = "零一二三四五六七八九".chars().position(|known| known == sign)
        {
            digit = Some(known as u64);
            continue;
        }
        let unit = match sign {
            '两' => {
                digit = Some(2);
                continue;
            }
            '十' => 10,
            '百' => 100,
            '千' => 1_000,
            '万' => 10_000,
            '亿' => 100_000_000,
            _ => panic!("{sign}"),
        };
        if unit < 10_000 {
            group += digit.take().unwrap_or(1) * unit;
        } else {
            total += (group + digit.take().unwrap_or(0)) * unit;
            group = 0;
        }
    }
    total + group + digit.unwrap_or(0)
}

/// Every number to 30,000, and many with noughts in all places beyond, read back from its text.
#[test]
fn every_number_is_said_as_it_is_read() {
    let texts = Texts::read();
    let mut numbers: Vec<u64> = (0..=30_000).collect();
    let digits = [
        0, 1, 2, 7, 10, 15, 20, 99, 100, 101, 110, 111, 200, 999, 1_000, 1_001, 1_010, 1_100,
        2_000, 2_002, 9_999,
    ];
    for high in digits {
        for middle in digits {
            for low in digits {
                numbers.push((high * 10_000 + middle) * 10_000 + low);
            }
        }
    }
    numbers.retain(|number| *number < NUMBER_END);
    for number in numbers.into_iter().chain([NUMBER_END - 1]) {
        let english = texts.said(Language::English, Spoken::Number(number));
        assert_eq!(read_english(&english), number, "{english}");
        assert!(!english.contains(" zero"), "{english}");
        let chinese = texts.said(Language::Chinese, Spoken::Number(number));
        assert_eq!(read_chinese(&chinese), number, "{chinese}");
        let is_bad = chinese.contains("零零")
            || number > 0 && chinese.ends_with('零')
            || chinese.contains("两十")
            || chinese.contains("两百")
            || chinese.contains("零万")
            || chinese.contains("零亿");
        assert!(!is_bad, "{number} {chinese}");
    }
    // Beyond, nobody would follow: digit by digit.
    assert!(texts.said(Language::English, Spoken::Number(NUMBER_END)).starts_with("one zero zero"));
    assert!(phrase(Language::Chinese, &[Spoken::Number(u64::MAX)]).len() <= 20);
}

#[test]
fn numbers_where_the_rules_bite() {
    let texts = Texts::read();
    for (number, english, chinese) in [
        (2, "two", "二"),
        (10, "ten", "十"),
        (12, "twelve", "十二"),
        (20, "twenty", "二十"),
        (22, "twenty two", "二十二"),
        (101, "one hundred one", "一百零一"),
        (110, "one hundred ten", "一百一十"),
        (115, "one hundred fifteen", "一百一十五"),
        (200, "two hundred", "二百"),
        (1_002, "one thousand two", "一千零二"),
        (2_000, "two thousand", "两千"),
        (2_200, "two thousand two hundred", "两千二百"),
        (10_000, "ten thousand", "一万"),
        (10_010, "ten thousand ten", "一万零一十"),
        (12_000, "twelve thousand", "一万二千"),
        (20_000, "twenty thousand", "两万"),
        (100_000, "one hundred thousand", "十万"),
        (101_000, "one hundred one thousand", "十万一千"),
        (100_100, "one hundred thousand one hundred", "十万零一百"),
        (1_000_000, "one million", "一百万"),
        (100_000_001, "one hundred million one", "一亿零一"),
        (200_020_000, "two hundred million twenty thousand", "两亿零二万"),
        (
            1_234_567_890,
            "one billion two hundred thirty four million five hundred sixty seven thousand eight hundred ninety",
            "十二亿三千四百五十六万七千八百九十",
        ),
    ] {
        assert_eq!(texts.said(Language::English, Spoken::Number(number)), english);
        assert_eq!(texts.said(Language::Chinese, Spoken::Number(number)), chinese);
    }
}

#[test]
fn everything_else_in_both_languages() {
    use Spoken as S;
    let texts = Texts::read();
    let span = Duration::from_secs;
    for (thing, english, chinese) in [
        (S::Digits("1305*#".into()), "one three zero five star hash", "一三零五星号井号"),
        (S::Telephone("+86 110-1".into()), "plus eight six one one zero one", "加八六幺幺零幺"),
        (
            S::Date { year: 2026, month: 11, day: 22 },
            "November twenty second twenty twenty six",
            "二零二六年十一月二十二日",
        ),
        (
            S::Date { year: 2005, month: 2, day: 29 },
            "February twenty ninth two thousand five",
            "二零零五年二月二十九日",
        ),
        (
            S::Date { year: 1907, month: 1, day: 1 },
            "January first nineteen oh seven",
            "一九零七年一月一日",
        ),
        (
            S::Date { year: 1900, month: 12, day: 30 },
            "December thirtieth nineteen hundred",
            "一九零零年十二月三十日",
        ),
        (S::Date { year: 2026, month: 2, day: 30 }, "", ""),
        (S::Date { year: 2026, month: 13, day: 1 }, "", ""),
        (S::Weekday(1), "Monday", "星期一"),
        (S::Weekday(7), "Sunday", "星期日"),
        (S::Weekday(8), "", ""),
        (S::Time { hour: 0, minute: 0 }, "twelve a m", "凌晨零点"),
        (S::Time { hour: 9, minute: 5 }, "nine oh five a m", "上午九点零五分"),
        (S::Time { hour: 12, minute: 30 }, "twelve thirty p m", "中午十二点三十分"),
        (S::Time { hour: 14, minute: 10 }, "two ten p m", "下午两点十分"),
        (S::Time { hour: 23, minute: 59 }, "eleven fifty nine p m", "晚上十一点五十九分"),
        (S::Time { hour: 24, minute: 0 }, "", ""),
        (S::Money(1_234, Currency::Cny), "twelve yuan and thirty four fen", "十二元三角四分"),
        (S::Money(1_205, Currency::Cny), "twelve yuan and five fen", "十二元零五分"),
        (S::Money(200, Currency::Cny), "two yuan", "两元"),
        (S::Money(20, Currency::Cny), "twenty fen", "两角"),
        (S::Money(2, Currency::Cny), "two fen", "两分"),
        (S::Money(0, Currency::Cny), "zero yuan", "零元"),
        (S::Money(101, Currency::Usd), "one dollar and one cent", "一美元一分"),
        (S::Money(-250, Currency::Eur), "minus two euros and fifty cents", "负两欧元五十分"),
        (S::Money(302, Currency::Gbp), "three pounds and two pence", "三英镑两便士"),
        (S::Money(5_000, Currency::Jpy), "five thousand yen", "五千日元"),
        (S::Money(100, Currency::Hkd), "one Hong Kong dollar", "一港元"),
        (S::Duration(span(0)), "zero seconds", "零秒"),
        (S::Duration(span(3_600 + 62)), "one hour one minute two seconds", "一小时一分钟两秒"),
        (S::Duration(span(2 * 86_400 + 7_200)), "two days two hours", "两天两小时"),
        (S::Place(2), "you are number two in line", "您排在第二位"),
        (S::Prompt("goodbye".into()), "Goodbye.", "再见。"),
    ] {
        assert_eq!(texts.said(Language::English, thing.clone()), english, "{thing:?}");
        assert_eq!(texts.said(Language::Chinese, thing.clone()), chinese, "{thing:?}");
    }
}

/// Whatever is said, its prompts are there in the language, and there are not many of them.
#[test]
fn nothing_is_said_by_a_prompt_that_is_missing() {
    let texts = Texts::read();
    for language in Language::ALL {
        assert_eq!(Language::of(&language.code().to_uppercase()), Some(language));
        for currency in Currency::ALL {
            for amount in [i64::MIN, -1, 0, 1, 2, 10, 99, 100, 101, 110, 12_345_678, i64::MAX] {
                assert!(!texts.said(language, Spoken::Money(amount, currency)).is_empty());
            }
        }
        for month in 1..=12 {
            for day in 1..=28 {
                for year in [0, 999, 1_000, 1_999, 2_000, 2_010, 9_999, u16::MAX] {
                    assert!(!texts.said(language, Spoken::Date { year, month, day }).is_empty());
                }
            }
        }
        for minute in 0..60 {
            for hour in 0..24 {
                assert!(!texts.said(language, Spoken::Time { hour, minute }).is_empty());
            }
        }
        for day in 1..=7 {
            assert!(!texts.said(language, Spoken::Weekday(day)).is_empty());
        }
        texts.said(language, Spoken::Duration(Duration::MAX));
        let many = "1*#+x".repeat(1_000);
        assert_eq!(phrase(language, &[Spoken::Digits(many)]).len(), DIGITS_MAX);
    }
    // And no prompt is there in one language alone.
    for (language, name) in texts.0.keys() {
        for other in Language::ALL {
            assert!(texts.0.contains_key(&(other.code(), name)), "{name} of {language}");
        }
    }
}
