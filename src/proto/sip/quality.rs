//! What a phone says of the audio that it heard (RFC 6035).

/// The event package of such reports.
pub const PACKAGE: &str = "vq-rtcpxr";
/// The type of their bodies.
pub const CONTENT_TYPE: &str = "application/vq-rtcpxr";

/// The figures that are kept, by their names in a report (RFC 6035 §4.6.2): loss and discards in percent, delays
/// and jitter in milliseconds, the R factor, and opinion scores from 1 to 5.
pub const FIGURES: [&str; 10] =
    ["NLR", "JDR", "RTD", "ESD", "IAJ", "MAJ", "RLQ", "RCQ", "MOSLQ", "MOSCQ"];

/// The longest Call-ID that a report may name, in bytes.
const CALL_ID_MAX: usize = 512;
/// The longest figure, in characters: `100.00` has six.
const FIGURE_MAX: usize = 10;

/// A report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// When it was made.
    pub moment: Moment,
    /// The Call-ID of the phone's dialog.
    pub call_id: String,
    /// Name and value, in the order of [`FIGURES`]; a value is a decimal number.
    pub figures: Vec<(&'static str, String)>,
}

/// When a report was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// At the end of the session.
    End,
    /// While it goes on.
    Interval,
    /// Because a figure became bad.
    Alert,
}

impl Moment {
    /// The word in events and the timeline.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Interval => "interval",
            Self::Alert => "alert",
        }
    }
}

impl Report {
    /// Reads a report. Only what the phone itself measured is taken; what it cannot be read from is passed over.
    /// `None` without a Call-ID: then it is about nothing.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(body);
        let (mut moment, mut call_id) = (Moment::End, None);
        let mut found: [Option<String>; FIGURES.len()] = Default::default();
        for line in text.lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let is = |wanted: &str| name.trim().eq_ignore_ascii_case(wanted);
            if is("RemoteMetrics") {
                // What follows was measured by somebody else, and he may tell of it himself.
                break;
            } else if is("VQIntervalReport") {
                moment = Moment::Interval;
            } else if is("VQAlertReport") {
                moment = Moment::Alert;
            } else if is("CallID") {
                call_id = call_id.or_else(|| Some(value.trim().to_owned()));
            } else {
                for (name, value) in value.split_whitespace().filter_map(|w| w.split_once('=')) {
                    let known = FIGURES.iter().zip(&mut found);
                    for (_, slot) in known.filter(|(known, _)| known.eq_ignore_ascii_case(name)) {
                        *slot = slot.take().or_else(|| is_figure(value).then(|| value.to_owned()));
                    }
                }
            }
        }
        let figures = FIGURES.into_iter().zip(found);
        let figures = figures.filter_map(|(name, value)| Some((name, value?))).collect();
        let call_id = call_id.filter(|id| !id.is_empty() && id.len() <= CALL_ID_MAX)?;
        Some(Self { moment, call_id, figures })
    }
}

/// A decimal number without a sign.
fn is_figure(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.len() <= FIGURE_MAX && is_digits(whole) && is_digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Moment, String, String)> {
        let report = Report::read(text.as_bytes())?;
        let figures = report.figures.iter().map(|(name, value)| format!("{name}={value}"));
        Some((report.moment, report.call_id, figures.collect::<Vec<_>>().join(" ")))
    }

    #[test]
    fn the_phones_own_figures_are_read() {
        let text = "VQSessionReport: CallTerm\r\nCallID: 6dg37f1890463\r\nLocalID: A <sip:a@b>\r\n\
                    LocalAddr: IP=10.10.1.100 PORT=5000 SSRC=1a3b5c7d\r\nLocalMetrics:\r\n\
                    Timestamps:START=2004-10-10T18:23:43Z STOP=2004-10-01T18:26:02Z\r\n\
                    PacketLoss:NLR=5.0 JDR=2.0\r\nDelay:RTD=200 ESD=140 SOWD=100 IAJ=2 MAJ=10\r\n\
                    QualityEst:RLQ=82 EXTRI=90 MOSLQ=4.2 MOSCQ=3.3 QoEEstAlg=P.564\r\n\
                    RemoteMetrics:\r\nPacketLoss:NLR=9.0 JDR=9\r\nDialogID:6dg37f1890463\r\n";
        let figures = "NLR=5.0 JDR=2.0 RTD=200 ESD=140 IAJ=2 MAJ=10 RLQ=82 MOSLQ=4.2 MOSCQ=3.3";
        let whole = (Moment::End, "6dg37f1890463".to_owned(), figures.to_owned());
        assert_eq!(read(text), Some(whole));
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        let is = |text: &str, moment, figures: &str| {
            assert_eq!(read(text), Some((moment, "x".to_owned(), figures.to_owned())), "{text}");
        };
        is("VQIntervalReport\ncallid:x\nPacketLoss: nlr=1.5  JDR=", Moment::Interval, "NLR=1.5");
        is("VQAlertReport: Type=NLR\nCallID:x", Moment::Alert, "");
        is(
            "CallID: x\nQualityEst:MOSLQ=abc MOSLQ=-1 MOSLQ=1e9 MOSLQ=4. MOSLQ=4",
            Moment::End,
            "MOSLQ=4",
        );
        is("CallID: x\nCallID: y\nDelay:RTD=99999999999 RTD=1.2.3 =5 RTD", Moment::End, "");
        assert_eq!(read("PacketLoss:NLR=1"), None);
        assert_eq!(read("CallID:\r\n"), None);
        assert_eq!(read("\u{0}\u{ff}"), None);
    }
}
