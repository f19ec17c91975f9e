"""Makes `twistd imserver` known; everything else is in imserver.tap."""

from twisted.application.service import ServiceMaker

imserver = ServiceMaker("imserver", "imserver.tap", "Messaging with several wire formats", "imserver")
